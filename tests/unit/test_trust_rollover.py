"""A new key for the authority: whom both sides trust, and what a crash leaves."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import TrustError
from reconciler.server.certificates import SPREAD_AFTER_ROLLOVER, is_renewal_due
from reconciler.server.tls_identity import LONGEST_DELAY, TlsIdentity
from reconciler.trust.authority import Authority
from reconciler.trust.identity import AgentIdentity
from reconciler.trust.tls import AgentCertificate, server_context
from tests.unit.test_trust_tls import ADDRESS, client_context, connect, enrolled

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.load_or_create(tmp_path / "trust", NOW - 9 * DAY)


def server(authority: Authority) -> ssl.SSLContext:
    credentials = authority.server_credentials(IPv4Address(ADDRESS), NOW)
    return server_context(credentials, authority.trusted_pem)


def test_agents_of_every_key_trust_the_server_after_several_rollovers(
    authority: Authority, tmp_path: Path
) -> None:
    clients = [client_context(authority, enrolled(authority, tmp_path / "0"))]
    for number in (1, 2, 3):
        authority.roll(NOW - (8 - number) * DAY)
        clients.append(client_context(authority, enrolled(authority, tmp_path / str(number))))
        for client in clients:
            connect(server(authority), client)
    authority.retire(NOW)
    for client in clients:
        connect(server(authority), client)


def test_an_authority_that_rolled_over_is_not_trusted_by_strangers(
    authority: Authority, tmp_path: Path
) -> None:
    other = Authority.load_or_create(tmp_path / "other", NOW - DAY)
    other.roll(NOW)
    other.retire(NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(server(other), client_context(authority))


def test_the_servers_certificate_stays_until_the_key_that_signed_it_is_retired(
    authority: Authority,
) -> None:
    address = IPv4Address(ADDRESS)
    pin = authority.server_credentials(address, NOW).pin
    authority.roll(NOW)
    assert authority.server_credentials(address, NOW).pin == pin
    assert len(authority.retire(NOW)) == 1
    assert authority.server_credentials(address, NOW).pin != pin
    assert authority.retire(NOW) == ()


def test_the_private_half_of_an_earlier_key_is_gone(authority: Authority, tmp_path: Path) -> None:
    before = (tmp_path / "trust/authority.key").read_bytes()
    authority.roll(NOW)
    left = [path.read_bytes() for path in (tmp_path / "trust").iterdir()]
    assert not any(before.strip() in content for content in left)
    assert sorted(path.name for path in (tmp_path / "trust").iterdir()) == [
        "authority-accepted.crt",
        "authority-links.crt",
        "authority-retired.crt",
        "authority.crt",
        "authority.key",
    ]


class PowerFailed(Exception):  # noqa: N818 - what happens to the computer
    """Nothing is written any more."""


@pytest.mark.parametrize("write", range(1, 13))
def test_a_rollover_that_is_cut_off_leaves_one_authority_whole(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    agent = client_context(authority, enrolled(authority, tmp_path / "agent"))
    first, passed = authority.key_id, []

    def fail(name: str, what: str) -> None:
        if name.startswith("file."):
            passed.append(what)
            if len(passed) == write:
                raise PowerFailed

    with monkeypatch.context() as patched:
        patched.setattr("agent.failpoint.watch", fail)
        with pytest.raises(PowerFailed):
            authority.roll(NOW)
    again = Authority.load_or_create(tmp_path / "trust", NOW)
    assert (again.key_id == first) == (write == 1)
    assert first in again.accepted_key_ids
    assert not (tmp_path / "trust/authority-rollover.pem").exists()
    connect(server(again), agent)
    connect(server(again), client_context(again, enrolled(again, tmp_path / "newcomer")))


@pytest.mark.parametrize("name", ["accepted", "retired", "links"])
def test_damaged_certificates_of_earlier_keys_are_said(
    authority: Authority, tmp_path: Path, name: str
) -> None:
    authority.roll(NOW)
    path = tmp_path / f"trust/authority-{name}.crt"
    path.write_text("no certificate")
    with pytest.raises(TrustError) as caught:
        authority.reload(NOW)
    assert str(caught.value) == (
        f"RW502: {path} does not hold certificates in PEM form. "
        "Restore the directory from a backup."
    )


def test_a_running_server_takes_over_what_others_did_and_changes_its_pin_when_it_is_quiet(
    authority: Authority, tmp_path: Path
) -> None:
    now = [NOW]
    running = TlsIdentity(authority, IPv4Address(ADDRESS), lambda: now[0])
    pin = running.pin
    command = Authority.load_or_create(tmp_path / "trust", NOW)
    command.roll(NOW)
    assert not running.look(is_quiet=True)
    assert authority.key_id == command.key_id
    agent = client_context(command, enrolled(command, tmp_path / "agent"))
    connect(running.context(), agent)
    command.retire(NOW)
    assert not running.look(is_quiet=False)
    assert running.pin == pin
    connect(running.context(), agent)
    now[0] += LONGEST_DELAY
    assert running.look(is_quiet=False)
    assert running.pin != pin
    connect(running.context(), agent)


def test_a_running_server_renews_its_certificate(authority: Authority) -> None:
    now = [NOW]
    running = TlsIdentity(authority, IPv4Address(ADDRESS), lambda: now[0])
    now[0] += 334 * DAY
    assert not running.look(is_quiet=True)
    now[0] += 2 * DAY
    assert running.look(is_quiet=True)
    assert not running.look(is_quiet=True)


def test_a_running_server_goes_on_with_what_it_has_where_the_files_are_damaged(
    authority: Authority, tmp_path: Path
) -> None:
    running = TlsIdentity(authority, IPv4Address(ADDRESS), lambda: NOW)
    (tmp_path / "trust/authority.crt").write_text("damaged")
    assert not running.look(is_quiet=True)
    connect(running.context(), client_context(authority))


@given(st.integers(1, 2**158), st.booleans(), st.floats(0, 1))
def test_a_renewal_is_due_in_a_window_of_its_own_after_two_thirds_or_a_rollover(
    serial: int,
    is_of_earlier_key: bool,  # noqa: FBT001 - hypothesis gives it
    share: float,
) -> None:
    rolled = FakeAuthority(NOW + 3 * DAY)
    key = "earlier" if is_of_earlier_key else rolled.key_id
    certificate = AgentCertificate(
        AgentIdentity("node-01", "installed"), f"{serial:x}", "", key, NOW, NOW + 30 * DAY
    )

    def due(at: datetime) -> bool:
        return is_renewal_due(certificate, rolled, at)  # type: ignore[arg-type]

    assert not due(NOW + 3 * DAY * share - timedelta(seconds=1))
    assert due(NOW + 20 * DAY + timedelta(hours=30))
    assert due(NOW + 3 * DAY + SPREAD_AFTER_ROLLOVER) == is_of_earlier_key
    if not is_of_earlier_key:
        assert not due(NOW + 20 * DAY * share - timedelta(seconds=1))


class FakeAuthority:
    """Has a key since some moment."""

    key_id = "present"

    def __init__(self, since: datetime) -> None:
        self.since = since
