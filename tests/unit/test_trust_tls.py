"""Real TLS handshakes in memory: who is let in, and as whom."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from reconciler.errors import TrustError
from reconciler.trust.authority import Authority
from reconciler.trust.identity import AgentIdentity, Environment, parse_uri
from reconciler.trust.tls import connected_agent, parse_agent, server_context

# A handshake looks at the computer's clock, so these tests cannot choose theirs.
NOW = datetime.now(UTC).replace(microsecond=0)
ADDRESS = "192.0.2.7"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.load_or_create(tmp_path / "trust", NOW - timedelta(days=40))


@pytest.fixture
def server(authority: Authority) -> ssl.SSLContext:
    return server_context(
        authority.server_credentials(IPv4Address(ADDRESS), NOW), authority.authority_pem
    )


def enrolled(
    authority: Authority,
    directory: Path,
    environment: Environment = "installed",
    at: datetime = NOW,
) -> Path:
    """Return a file with the key and certificate of an agent called node-0713."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .sign(key, hashes.SHA256())
    )
    certificate = authority.sign_agent(
        request.public_bytes(serialization.Encoding.PEM).decode(),
        "node-0713",
        environment,
        at,
        99,
    )
    directory.mkdir(exist_ok=True)
    path = directory / "agent.pem"
    path.write_text(pem(key) + certificate)
    return path


def pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def client_context(authority: Authority, agent: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=authority.authority_pem)
    if agent is not None:
        context.load_cert_chain(agent)
    return context


def connect(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str = ADDRESS
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Shake hands in memory and return both ends; raises what either end objects to."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_end = server.wrap_bio(up, down, server_side=True)
    client_end = client.wrap_bio(down, up, server_hostname=name)
    done = [False, False]
    for _ in range(10):
        for index, end in enumerate((client_end, server_end)):
            done[index] = done[index] or stepped(end.do_handshake)
        if all(done):
            return server_end, client_end
    raise AssertionError("the handshake does not end")


def stepped(handshake: Callable[[], None]) -> bool:
    try:
        handshake()
    except ssl.SSLWantReadError:
        return False
    return True


class TestWhoIsLetIn:
    def test_an_agent_is_known_by_its_certificate(
        self, authority: Authority, server: ssl.SSLContext, tmp_path: Path
    ) -> None:
        agent = enrolled(authority, tmp_path / "agent")
        server_end, client_end = connect(server, client_context(authority, agent))
        expected = AgentIdentity("node-0713", "installed")
        found = connected_agent(server_end, NOW)
        assert found is not None
        assert found.agent == expected
        assert found.serial == f"{99:x}"
        assert found.authority_key == authority.key_id
        assert client_end.version() == "TLSv1.3"

    def test_a_client_without_certificate_is_nobody(
        self, authority: Authority, server: ssl.SSLContext
    ) -> None:
        server_end, _ = connect(server, client_context(authority))
        assert connected_agent(server_end, NOW) is None
        assert connected_agent(None, NOW) is None

    def test_an_agent_of_another_authority_is_cut_off(
        self, authority: Authority, server: ssl.SSLContext, tmp_path: Path
    ) -> None:
        other = Authority.load_or_create(tmp_path / "other", NOW)
        client = client_context(authority, enrolled(other, tmp_path / "agent"))
        with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
            connect(server, client)

    def test_an_expired_agent_is_let_in_as_far_as_to_hear_why_it_is_refused(
        self, authority: Authority, server: ssl.SSLContext, tmp_path: Path
    ) -> None:
        agent = enrolled(authority, tmp_path / "agent", at=NOW - timedelta(days=31))
        server_end, _ = connect(server, client_context(authority, agent))
        with pytest.raises(TrustError, match="RW509: the certificate of node-0713"):
            connected_agent(server_end, NOW)

    def test_the_servers_own_certificate_is_no_agents(
        self, authority: Authority, server: ssl.SSLContext
    ) -> None:
        own = authority.server_credentials(IPv4Address(ADDRESS), NOW)
        client = client_context(authority)
        client.load_cert_chain(own.certificate_path, own.key_path)
        with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
            connect(server, client)

    def test_an_agents_certificate_is_no_servers(
        self, authority: Authority, tmp_path: Path
    ) -> None:
        impostor = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        impostor.load_cert_chain(enrolled(authority, tmp_path / "agent"))
        with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
            connect(impostor, client_context(authority))

    def test_an_older_protocol_is_refused(
        self, authority: Authority, server: ssl.SSLContext
    ) -> None:
        client = client_context(authority)
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError, match=r"(?i)unsupported.protocol"):
            connect(server, client)

    def test_no_session_is_resumed_past_the_check_of_its_certificate(
        self, authority: Authority, server: ssl.SSLContext, tmp_path: Path
    ) -> None:
        client = client_context(authority, enrolled(authority, tmp_path / "agent"))
        server_end, client_end = connect(server, client)
        server_end.write(b"hello")
        client_end.read(5)
        assert client_end.session is None or not client_end.session.has_ticket

    def test_a_server_reached_by_another_address_is_refused(
        self, authority: Authority, server: ssl.SSLContext
    ) -> None:
        with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
            connect(server, client_context(authority), name="192.0.2.8")


class TestPeer:
    def test_a_certificate_that_expired_on_an_open_connection_is_refused(
        self, authority: Authority, server: ssl.SSLContext, tmp_path: Path
    ) -> None:
        agent = enrolled(authority, tmp_path / "agent", environment="deploy-os")
        server_end, _ = connect(server, client_context(authority, agent))
        with pytest.raises(TrustError) as caught:
            connected_agent(server_end, NOW + timedelta(hours=12, seconds=1))
        assert str(caught.value) == (
            "RW509: the certificate of node-0713 (deploy-os) expired at"
            f" {NOW + timedelta(hours=12):%Y-%m-%d %H:%M} UTC."
            " An installed agent asks to come back by itself; let any other enroll again with a"
            " new token."
        )

    @pytest.mark.parametrize(
        ("uris", "usage"),
        [
            (["rackwright://machine/a/installed"], ExtendedKeyUsageOID.SERVER_AUTH),
            ([], ExtendedKeyUsageOID.CLIENT_AUTH),
            (["https://example.org/"], ExtendedKeyUsageOID.CLIENT_AUTH),
            (
                ["rackwright://machine/a/installed", "rackwright://machine/b/installed"],
                ExtendedKeyUsageOID.CLIENT_AUTH,
            ),
        ],
        ids=["a server's", "no name", "a foreign name", "two names"],
    )
    def test_a_certificate_that_names_no_agent_is_refused(
        self, uris: list[str], usage: x509.ObjectIdentifier
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node-0713")])
        names = [x509.DNSName("node"), *map(x509.UniformResourceIdentifier, uris)]
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), 1)
            .not_valid_before(NOW)
            .not_valid_after(NOW + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .sign(key, hashes.SHA256())
        )
        with pytest.raises(TrustError, match="RW508: the client's certificate does not name"):
            parse_agent(certificate.public_bytes(serialization.Encoding.DER))

    @pytest.mark.parametrize("der", [b"", b"\x30", b"garbage" * 100])
    def test_garbage_is_no_agents_certificate(self, der: bytes) -> None:
        with pytest.raises(TrustError, match="RW508"):
            parse_agent(der)


class TestIdentity:
    @pytest.mark.parametrize("machine", ["node-0713", "tokyo/row2/n1", "a b%2F", "..", "機械"])
    @pytest.mark.parametrize("environment", ["deploy-os", "installed"])
    def test_a_name_survives_the_way_through_its_uri(
        self, machine: str, environment: Environment
    ) -> None:
        identity = AgentIdentity(machine, environment)
        assert identity.uri().isascii()
        assert parse_uri(identity.uri()) == identity

    @pytest.mark.parametrize(
        "uri",
        [
            "rackwright://machine/node/rescue",
            "rackwright://machine//installed",
            "rackwright://machine/node",
            "rackwright://machine/a/b/installed",
            "rackwright://machine/n%6Fde/installed",
            "rackwright://machine/%FF/installed",
            "rackwright://machine/a%0Ab/installed",
            "RACKWRIGHT://machine/node/installed",
            "node/installed",
        ],
    )
    def test_another_spelling_is_no_identity(self, uri: str) -> None:
        assert parse_uri(uri) is None
