"""Enrollment and transport against a real TLS server."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from agent.clock import Clock
from agent.credentials import CredentialStore
from agent.enroll import Invitation, enroll
from agent.errors import FencedError, TerminalError, TransientError
from agent.retry import RetryPolicy
from agent.transport import KnownAuthority, PinnedServer, Transport
from agent.wire.report import Hardware
from tests.protocol.agent_control_plane import FakeControlPlane

pytestmark = pytest.mark.timeout(60)

HARDWARE = Hardware(
    macs=("52:54:00:12:34:56",),
    uuid="4c4c4544-0042-3510-8052-b4c04f4e4a32",
    serial="",
    vendor="",
    product="",
    cpus=1,
    memory=1,
    firmware="uefi",
    secure_boot=False,
)
QUICK = Clock(pause=lambda _seconds: None, chance=lambda: 0.0)
BRIEF = RetryPolicy(first=0.01, cap=0.01, limit=0.05)


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[FakeControlPlane]:
    plane = FakeControlPlane(tmp_path)
    plane.add_token("t-1", "node-1")
    plane.up()
    yield plane
    plane.down()


def invitation(plane: FakeControlPlane, **changes: str) -> Invitation:
    values = {"server": plane.url, "pin": plane.pin, "token": "t-1", "environment": "deploy-os"}
    return Invitation(**{**values, **changes})


def store(tmp_path: Path, name: str = "state") -> CredentialStore:
    return CredentialStore(tmp_path / name)


def test_enrollment_gives_the_machine_its_name_and_a_working_certificate(
    plane: FakeControlPlane, tmp_path: Path
) -> None:
    credentials = enroll(invitation(plane), store(tmp_path), HARDWARE, BRIEF, QUICK)
    assert credentials.machine == "node-1"
    transport = Transport(plane.url, PinnedServer(plane.pin), credentials)
    assert transport.send("GET", "/v1/work?wait=0") == b""
    transport.close()


def test_the_key_is_p256_and_readable_by_its_owner_only(
    plane: FakeControlPlane, tmp_path: Path
) -> None:
    credentials = enroll(invitation(plane), store(tmp_path), HARDWARE, BRIEF, QUICK)
    assert stat.S_IMODE(credentials.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(credentials.key.parent.stat().st_mode) == 0o700
    csr = x509.load_pem_x509_csr(store(tmp_path).signing_request().encode())
    key = csr.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"


def test_a_server_with_another_certificate_gets_no_request_at_all(
    plane: FakeControlPlane, tmp_path: Path
) -> None:
    wrong = "0" * 64
    with pytest.raises(TerminalError) as caught:
        enroll(invitation(plane, pin=wrong), store(tmp_path), HARDWARE, BRIEF, QUICK)
    assert caught.value.code == "RW551"
    assert "shows another certificate than the pinned one" in caught.value.cause
    assert plane.pin in caught.value.cause
    assert plane.requests == []
    assert plane.tokens["t-1"].used_by == ""


def test_a_token_used_by_a_second_key_is_refused_and_raises_the_alarm(
    plane: FakeControlPlane, tmp_path: Path
) -> None:
    enroll(invitation(plane), store(tmp_path, "first"), HARDWARE, BRIEF, QUICK)
    with pytest.raises(TerminalError) as caught:
        enroll(invitation(plane), store(tmp_path, "second"), HARDWARE, BRIEF, QUICK)
    assert caught.value.code == "RW553"
    assert caught.value.cause == (
        "the server refused POST /v1/enroll with status 403: this token was already used"
    )
    assert plane.alarms == ["token of node-1 used twice"]


def test_a_lost_answer_to_the_enrollment_is_asked_for_again_with_the_same_request(
    plane: FakeControlPlane, tmp_path: Path
) -> None:
    plane.lose_answer_to["POST /v1/enroll"] = 2
    credentials = enroll(invitation(plane), store(tmp_path), HARDWARE, BRIEF, QUICK)
    assert credentials.machine == "node-1"
    assert plane.count("POST /v1/enroll") == 3
    assert plane.alarms == []


def test_an_agent_started_again_uses_its_certificate_and_not_the_token(
    plane: FakeControlPlane, tmp_path: Path
) -> None:
    first = enroll(invitation(plane), store(tmp_path), HARDWARE, BRIEF, QUICK)
    again = enroll(invitation(plane, token=""), store(tmp_path), HARDWARE, BRIEF, QUICK)
    assert again == first
    assert plane.count("POST /v1/enroll") == 1


def test_an_agent_without_certificate_and_token_says_so(
    plane: FakeControlPlane, tmp_path: Path
) -> None:
    with pytest.raises(TerminalError) as caught:
        enroll(invitation(plane, token=""), store(tmp_path), HARDWARE, BRIEF, QUICK)
    assert caught.value.code == "RW563"
    assert plane.requests == []


def test_an_unreachable_server_is_a_transient_error_once_patience_ends(
    plane: FakeControlPlane, tmp_path: Path
) -> None:
    plane.down()
    with pytest.raises(TransientError) as caught:
        enroll(invitation(plane), store(tmp_path), HARDWARE, BRIEF, QUICK)
    assert caught.value.code == "RW557"
    assert f"the server {plane.url} cannot be reached" in caught.value.cause


def test_an_answer_that_is_no_enrollment_is_refused(
    plane: FakeControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plane, "_enroll", lambda _request: b'{"machine": 7}')
    with pytest.raises(TerminalError) as caught:
        enroll(invitation(plane), store(tmp_path), HARDWARE, BRIEF, QUICK)
    assert caught.value.code == "RW559"
    assert store(tmp_path).load() is None


def enrolled(plane: FakeControlPlane, tmp_path: Path) -> Transport:
    credentials = enroll(invitation(plane), store(tmp_path), HARDWARE, BRIEF, QUICK)
    return Transport(plane.url, KnownAuthority(credentials.authority), credentials)


def test_with_the_authority_known_a_renewed_server_certificate_is_trusted(
    plane: FakeControlPlane, tmp_path: Path
) -> None:
    transport = enrolled(plane, tmp_path)
    plane.down()
    plane.renew_certificate()
    plane.up()
    assert transport.send("GET", "/v1/work?wait=0") == b""
    transport.close()


def test_a_certificate_for_another_address_is_not_trusted(
    plane: FakeControlPlane, tmp_path: Path
) -> None:
    transport = enrolled(plane, tmp_path)
    plane.down()
    plane.renew_certificate(ip="192.0.2.9")
    plane.up()
    before = len(plane.requests)
    with pytest.raises(TerminalError) as caught:
        transport.send("GET", "/v1/work?wait=0")
    assert caught.value.code == "RW552"
    assert "is not verified" in caught.value.cause
    assert len(plane.requests) == before
    transport.close()


def test_an_impostor_of_another_authority_is_not_trusted(
    plane: FakeControlPlane, tmp_path: Path
) -> None:
    transport = enrolled(plane, tmp_path)
    plane.down()
    (tmp_path / "impostor").mkdir()
    impostor = FakeControlPlane(tmp_path / "impostor")
    impostor._port = plane._port
    impostor.up()
    with pytest.raises(TerminalError) as caught:
        transport.send("GET", "/v1/work?wait=0")
    impostor.down()
    assert caught.value.code == "RW552"
    assert impostor.requests == []
    transport.close()


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (401, TerminalError, "RW553"),
        (403, TerminalError, "RW553"),
        (404, TerminalError, "RW555"),
        (409, FencedError, "RW554"),
        (301, TerminalError, "RW555"),
        (507, TransientError, "RW470"),
    ],
)
def test_a_refusal_is_not_tried_again(
    plane: FakeControlPlane, tmp_path: Path, status: int, kind: type[Exception], code: str
) -> None:
    transport = enrolled(plane, tmp_path)
    plane.refuse = lambda _request: status
    with pytest.raises(kind) as caught:
        transport.send("GET", "/v1/work?wait=0")
    assert getattr(caught.value, "code", "") == code
    assert plane.count("GET /v1/work") == 1
    transport.close()


def test_a_busy_server_is_asked_again_at_once(plane: FakeControlPlane, tmp_path: Path) -> None:
    transport = enrolled(plane, tmp_path)
    answers = iter([503, 0])
    plane.refuse = lambda _request: next(answers)
    assert transport.send("GET", "/v1/work?wait=0") == b""
    assert plane.count("GET /v1/work") == 2
    transport.close()


def test_proxies_of_the_environment_are_ignored(
    plane: FakeControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    transport = enrolled(plane, tmp_path)
    assert transport.send("GET", "/v1/work?wait=0") == b""
    transport.close()


def test_without_a_client_certificate_only_enrollment_is_open(plane: FakeControlPlane) -> None:
    transport = Transport(plane.url, PinnedServer(plane.pin))
    with pytest.raises(TerminalError) as caught:
        transport.send("GET", "/v1/work?wait=0")
    assert caught.value.code == "RW553"
    transport.close()


def test_the_token_is_in_no_representation_of_the_messages() -> None:
    assert "t-secret" not in repr(Invitation("https://x", "0" * 64, "t-secret", "installed"))
