"""Where agents find the server, as its state directory tells without a server that runs."""

from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from reconciler.errors import TrustError
from reconciler.trust.agent_endpoint import endpoint_beside
from reconciler.trust.authority import Authority

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def test_address_and_pin_are_those_that_the_server_presents(tmp_path: Path) -> None:
    authority = Authority.load_or_create(tmp_path / "trust", NOW)
    credentials = authority.server_credentials(IPv4Address("192.0.2.1"), NOW)
    assert endpoint_beside(tmp_path, 8443) == ("https://192.0.2.1:8443", credentials.pin)


def test_where_no_server_ran_there_is_none_and_nothing_is_made(tmp_path: Path) -> None:
    assert endpoint_beside(tmp_path / "state", 8443) is None
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_certificate_is_told(tmp_path: Path) -> None:
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust/server.crt").write_text("nothing")
    with pytest.raises(TrustError, match=r"^RW502: .*server\.crt is not a certificate of a server"):
        endpoint_beside(tmp_path, 8443)
