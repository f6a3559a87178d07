"""A control plane with the real endpoints, real TLS and real state, for the agent's tests.

It keeps what the server promises: a token is good for one signing request, an
operation is claimed once, an older attempt is refused, a repeated event is recognised.
"""

import hashlib
import ipaddress
import json
import re
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from attrs import define, field
from blake3 import blake3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.wire.codec import decode, encode
from agent.wire.enrollment import Enrollment, EnrollmentRequest
from agent.wire.inventory import InventoryAnswer, InventoryReport, unpack
from agent.wire.report import Report, ReportAnswer
from agent.wire.work import Claim, OperationEvent, Work


class Authority:
    """A certification authority that signs the server and the agents."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = _name("Rackwright authority")
        self.certificate = (
            _builder(name, name, self.key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def sign(
        self, subject: str, public_key: Any, usage: x509.ObjectIdentifier, *, ip: str = ""
    ) -> x509.Certificate:
        builder = (
            _builder(_name(subject), self.certificate.subject, public_key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )
        if ip:
            names = [x509.IPAddress(ipaddress.ip_address(ip))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(subject: x509.Name, issuer: x509.Name, key: Any) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
    )


@define
class Token:
    """A single-use token and the signing request that used it."""

    machine: str
    used_by: str = ""


@define
class Operation:
    """One operation of the ledger, as far as agents can see it."""

    work: Work
    machine: str
    state: str = "armed"
    events: list[OperationEvent] = field(factory=list)
    duplicates: int = 0

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events if event.kind != "progress"]


class Refusal(Exception):  # noqa: N818 - it is an answer, not an error
    """A status that is not success."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class FakeControlPlane:
    """The server side of the agent's protocol on 127.0.0.1."""

    def __init__(self, directory: Path, *, ip: str = "127.0.0.1") -> None:
        self.authority = Authority()
        self.tokens: dict[str, Token] = {}
        self.operations: dict[str, Operation] = {}
        self.reports: list[Report] = []
        self.inventories: list[InventoryReport] = []
        self.verified = ""
        """When the operation of every installed system was verified."""
        self.chunks: dict[str, bytes] = {}
        self.content: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.evidence: dict[tuple[str, int, str], bytes] = {}
        self.requests: list[str] = []
        self.alarms: list[str] = []
        self.quarantined: set[str] = set()
        self.refuse: Callable[[str], int] = lambda _request: 0
        self.lose_answer_to: Counter[str] = Counter()
        self.changed = threading.Condition()
        self._directory = directory
        self._context, self.pin = self._server_identity(ip)
        self._server: _Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    def up(self) -> None:
        self._server = _Server(self, self._port, self._context)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def down(self) -> None:
        """Stop listening and cut every connection."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.cut_connections()
            server.server_close()

    def renew_certificate(self, *, ip: str = "127.0.0.1") -> None:
        """Go on with another server certificate of the same authority."""
        self._context, self.pin = self._server_identity(ip)

    def add_token(self, token: str, machine: str) -> None:
        self.tokens[token] = Token(machine)

    def arm(self, machine: str, work: Work) -> Operation:
        with self.changed:
            operation = Operation(work, machine)
            self.operations[work.operation] = operation
            self.changed.notify_all()
        return operation

    def fence(self, operation: str) -> None:
        """Let a newer attempt take over."""
        with self.changed:
            entry = self.operations[operation]
            entry.state = "fenced"

    def wait_for(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, seconds), "it did not happen in time"

    def count(self, request: str) -> int:
        return sum(entry.startswith(request) for entry in self.requests)

    def _server_identity(self, ip: str) -> tuple[ssl.SSLContext, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.authority.sign(
            "rackwright server", key.public_key(), ExtendedKeyUsageOID.SERVER_AUTH, ip=ip
        )
        chain = self._directory / "server.pem"
        chain.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        context.load_verify_locations(cadata=self.authority.pem)
        context.verify_mode = ssl.CERT_OPTIONAL
        der = certificate.public_bytes(serialization.Encoding.DER)
        return context, hashlib.sha256(der).hexdigest()

    # What the endpoints do; ``machine`` is the client certificate's name.

    def answer(self, method: str, target: str, machine: str, body: bytes) -> bytes | None:
        url = urlsplit(target)
        request = f"{method} {url.path}"
        with self.changed:
            self.requests.append(request)
            status = self.refuse(request)
            self.changed.notify_all()
        if status:
            raise Refusal(status, "as the test wants")
        if request == "POST /v1/enroll":
            return self._enroll(decode(EnrollmentRequest, body))
        if not machine:
            raise Refusal(401, "no client certificate")
        if machine in self.quarantined:
            raise Refusal(403, f"{machine} is quarantined")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        return self._route(request, machine, query, body)

    def _route(
        self, request: str, machine: str, query: dict[str, str], body: bytes
    ) -> bytes | None:
        if request == "POST /v1/report":
            return self._report(decode(Report, body))
        if request == "POST /v1/inventory":
            return self._inventory(unpack(body))
        if request == "GET /v1/work":
            return self._work(machine, float(query["wait"]))
        if request == "POST /v1/chunks/missing":
            wanted = json.loads(body)["digests"]
            return json.dumps({"missing": [d for d in wanted if d not in self.chunks]}).encode()
        match = re.fullmatch(r"PUT /v1/operations/([0-9a-z-]+)/evidence/(\d+)/(\w+)", request)
        if match is not None:
            with self.changed:
                self.evidence[match[1], int(match[2]), match[3]] = body
            return None
        match = re.fullmatch(
            r"(\w+) /v1/(operations|chunks|manifests|content)/([0-9a-z-]+)(/\w+)?", request
        )
        if match is None:
            raise Refusal(404, "no such endpoint")
        return self._route_item(f"{match[1]} {match[2]}{match[4] or ''}", match[3], machine, body)

    def _route_item(self, action: str, name: str, machine: str, body: bytes) -> bytes | None:
        if action == "POST operations/claim":
            return self._claim(name, machine, decode(Claim, body))
        if action == "POST operations/events":
            return self._event(name, machine, decode(OperationEvent, body))
        if action == "PUT operations/manifest":
            digest = blake3(body).hexdigest()
            self.manifests[digest] = body
            return json.dumps({"digest": digest}).encode()
        if action == "PUT chunks":
            self.chunks[name] = body
            return None
        kept = {"chunks": self.chunks, "manifests": self.manifests, "content": self.content}
        found = kept.get(action.removeprefix("GET "), {}).get(name)
        if found is None:
            raise Refusal(404, f"no {action} {name}")
        return found

    def _enroll(self, request: EnrollmentRequest) -> bytes:
        with self.changed:
            token = self.tokens.get(request.token)
            if token is None:
                raise Refusal(401, "unknown token")
            if token.used_by not in ("", request.csr):
                self.alarms.append(f"token of {token.machine} used twice")
                self.quarantined.add(token.machine)
                raise Refusal(403, "this token was already used")
            token.used_by = request.csr
        csr = x509.load_pem_x509_csr(request.csr.encode())
        assert csr.is_signature_valid
        certificate = self.authority.sign(
            token.machine, csr.public_key(), ExtendedKeyUsageOID.CLIENT_AUTH
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        return encode(Enrollment(token.machine, pem, self.authority.pem))

    def _report(self, report: Report) -> bytes | None:
        with self.changed:
            self.reports.append(report)
            self.changed.notify_all()
            return encode(ReportAnswer(self.verified)) if self.verified else None

    def _inventory(self, report: InventoryReport) -> bytes:
        with self.changed:
            self.inventories.append(report)
            self.changed.notify_all()
        return encode(InventoryAnswer(report.digest))

    def _work(self, machine: str, wait: float) -> bytes | None:
        def armed() -> Operation | None:
            mine = (op for op in self.operations.values() if op.machine == machine)
            return next((op for op in mine if op.state == "armed"), None)

        with self.changed:
            self.changed.wait_for(lambda: armed() or self._server is None, wait)
            found = armed()
        return encode(found.work) if found else None

    def _claim(self, name: str, machine: str, claim: Claim) -> None:
        with self.changed:
            operation = self._operation(name, machine, claim.attempt)
            if operation.state not in ("armed", "claimed"):
                raise Refusal(409, f"the operation is {operation.state}")
            operation.state = "claimed"
            self.changed.notify_all()

    def _event(self, name: str, machine: str, event: OperationEvent) -> None:
        with self.changed:
            operation = self._operation(name, machine, event.attempt)
            if operation.state == "cancelled":
                raise Refusal(410, "RW579: the operation has ended as cancelled: wrong image")
            if operation.state == "fenced":
                raise Refusal(409, "a newer attempt has this operation")
            if event.sequence in {known.sequence for known in operation.events}:
                operation.duplicates += 1
                return
            operation.events.append(event)
            if event.kind in ("done", "failed"):
                operation.state = event.kind
            self.changed.notify_all()

    def _operation(self, name: str, machine: str, attempt: int) -> Operation:
        operation = self.operations.get(name)
        if operation is None or operation.machine != machine:
            raise Refusal(403, "not this machine's operation")
        if attempt != operation.work.attempt:
            raise Refusal(409, f"attempt {attempt} is not {operation.work.attempt}")
        return operation


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, plane: FakeControlPlane, port: int, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.plane = plane
        self._connections: set[socket.socket] = set()
        # The handshake belongs to the connection's own thread.
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def cut_connections(self) -> None:
        with self.plane.changed:
            self.plane.changed.notify_all()
        for connection in list(self._connections):
            try:
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken handshakes and connections are what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        plane = self.server.plane
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = f"{self.command} {urlsplit(self.path).path}"
        try:
            answer = plane.answer(self.command, self.path, self._machine(), body)
            status = 204 if answer is None else 200
        except Refusal as refusal:
            status, answer = refusal.status, str(refusal).encode()
        if plane.lose_answer_to[request] > 0:
            plane.lose_answer_to[request] -= 1
            self.close_connection = True
            return
        self.send_response(status)
        if answer is not None:
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer or b"")

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 - http.server's names

    def _machine(self) -> str:
        certificate = self.connection.getpeercert()
        subject = (certificate or {}).get("subject", ())
        return next((value for rdn in subject for name, value in rdn if name == "commonName"), "")

    def log_message(self, *_: object) -> None:
        """Say nothing."""
