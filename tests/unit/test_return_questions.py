"""Who may ask to come back, whatever is sent: parsers that strangers reach."""

from base64 import encodebytes
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from builders.world import a_machine, a_report
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st

from agent.wire.codec import decode, encode
from agent.wire.renewal import ReturnQuestion
from reconciler.errors import TrustError
from reconciler.server.certificates import proved_certificate
from reconciler.trust.authority import Authority
from reconciler.trust.identity import Environment

NOW = datetime(2026, 11, 29, tzinfo=UTC)
HARDWARE = a_report(a_machine(1)).hardware
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())


def request_of(key: ec.EllipticCurvePrivateKey) -> x509.CertificateSigningRequest:
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .sign(key, hashes.SHA256())
    )


def pem(made: x509.CertificateSigningRequest | x509.Certificate) -> str:
    return made.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder: Path = tmp_path_factory.mktemp("authority")
    return Authority.load_or_create(folder / "trust", NOW - timedelta(days=900))


def certificate(authority: Authority, environment: Environment = "installed") -> str:
    at = NOW - timedelta(days=400)
    return authority.sign_agent(pem(request_of(KEY)), "node-01", environment, at, 77)


def test_an_expired_certificate_and_a_request_by_its_key_are_proof(authority: Authority) -> None:
    question = ReturnQuestion(certificate(authority), pem(request_of(KEY)), HARDWARE)
    found = proved_certificate(question, authority)
    assert (found.agent.machine, found.serial) == ("node-01", f"{77:x}")


@pytest.mark.parametrize("retired", [False, True])
def test_a_certificate_by_an_earlier_key_is_proof_also_when_that_is_retired(
    tmp_path: Path, *, retired: bool
) -> None:
    authority = Authority.load_or_create(tmp_path / "trust", NOW - timedelta(days=900))
    question = ReturnQuestion(certificate(authority), pem(request_of(KEY)), HARDWARE)
    authority.roll(NOW)
    if retired:
        authority.retire(NOW)
    assert proved_certificate(question, authority).agent.machine == "node-01"


def test_what_is_no_proof_is_refused_with_the_reason(authority: Authority, tmp_path: Path) -> None:
    foreign = Authority.load_or_create(tmp_path / "foreign", NOW - timedelta(days=900))
    own, request = certificate(authority), pem(request_of(KEY))
    for text, csr, reason in (
        ("", request, "its certificate cannot be parsed"),
        (certificate(foreign), request, "its certificate is by another authority"),
        (
            certificate(authority, "deploy-os"),
            request,
            "its certificate is of the Deploy-OS, where a boot gives a new token",
        ),
        (
            own,
            pem(request_of(OTHER_KEY)),
            "its request is signed by another key than its certificate's",
        ),
    ):
        with pytest.raises(TrustError) as caught:
            proved_certificate(ReturnQuestion(text, csr, HARDWARE), authority)
        assert str(caught.value) == (
            f"RW522: an agent cannot come back: {reason}. "
            "Deploy the machine again, or give its agent a new token."
        )


def changed(der: bytes, changes: list[tuple[int, int]]) -> bytes:
    made = bytearray(der)
    for place, value in changes:
        made[place % len(made)] = value
    return bytes(made)


def wrapped(name: str, der: bytes) -> str:

    return f"-----BEGIN {name}-----\n{encodebytes(der).decode()}-----END {name}-----\n"


CHANGES = st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=4)


@given(CHANGES, CHANGES)
@example([(15, 0)], [])  # a serial number that is negative
def test_damaged_certificates_and_requests_are_refused_and_nothing_else(
    authority: Authority, first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    der = x509.load_pem_x509_certificate(certificate(authority).encode())
    csr = request_of(KEY).public_bytes(serialization.Encoding.DER)
    text = wrapped("CERTIFICATE", changed(der.public_bytes(serialization.Encoding.DER), first))
    question = ReturnQuestion(text, wrapped("CERTIFICATE REQUEST", changed(csr, second)), HARDWARE)
    code = ""
    try:
        assert proved_certificate(question, authority).agent.machine == "node-01"
    except TrustError as error:
        code = error.code
    assert code in {"", "RW505", "RW506", "RW508", "RW522"}


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_is_refused(authority: Authority, text: str, csr: str) -> None:
    with pytest.raises(TrustError, match="RW522"):
        proved_certificate(ReturnQuestion(text, csr, HARDWARE), authority)


def test_a_question_survives_the_wire(authority: Authority) -> None:
    question = ReturnQuestion(certificate(authority), pem(request_of(KEY)), HARDWARE)
    assert decode(ReturnQuestion, encode(question)) == question
