"""Files of the web, fetched from a real server that breaks off, lies, refuses or is slow."""

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders.web_server import Behaviour, WebServer, web_server

from providers.content.download import TRIES, Wanted, download
from providers.content.errors import (
    AddressError,
    ConnectionLostError,
    EndlessDataError,
    NoRoomError,
    ProxyError,
    StatusError,
    WrongContentError,
)
from providers.content.files import fetch_files
from providers.content.store import ContentStore
from providers.content.web import Login, Web

DATA = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "file").write_bytes(DATA)
    with web_server(folder) as found:
        yield found


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "content")


class Waits:
    """Time that passes by being waited for."""

    def __init__(self) -> None:
        self.time = 0.0
        self.waited: list[float] = []

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        if seconds:
            self.time += seconds
            self.waited.append(seconds)


def fetch(
    server: WebServer,
    store: ContentStore,
    waits: Waits | None = None,
    size: int | None = len(DATA),
    **options: object,
) -> None:
    time = waits or Waits()
    web = Web(server.url, now=time.now, wait=time.wait, **options)
    try:
        download(web, Wanted(f"{server.url}/file", SHA256, size), store, keep_free=0)
    finally:
        web.close()


@pytest.mark.parametrize("size", [len(DATA), None])
def test_a_file_is_fetched_once(server: WebServer, store: ContentStore, size: int | None) -> None:
    fetch(server, store, size=size)
    fetch(server, store, size=size)
    assert store.path(SHA256).read_bytes() == DATA
    assert server.paths() == ["/file"]


def test_a_transfer_that_breaks_off_goes_on_where_it_ended(
    server: WebServer, store: ContentStore
) -> None:
    server.behaviours["file"] = Behaviour(times=3, break_after=100_000)
    waits = Waits()
    fetch(server, store, waits)
    assert store.path(SHA256).read_bytes() == DATA
    asked = [headers.get("range", "") for _, headers in server.requests]
    assert asked == ["", "bytes=100000-", "bytes=200000-", "bytes=300000-"]
    assert waits.waited == [1.0, 1.0, 1.0]


def test_a_server_that_ignores_ranges_sends_all_of_it(
    server: WebServer, store: ContentStore
) -> None:
    server.behaviours["file"] = Behaviour(times=1, break_after=100_000)
    once(server, store)
    assert store.arrived(SHA256) == 100_000
    server.behaviours["file"] = Behaviour(ignore_range=True)
    fetch(server, store)
    assert store.path(SHA256).read_bytes() == DATA


def once(server: WebServer, store: ContentStore) -> None:
    """Fetch without a second try: whoever waits has been interrupted."""

    def interrupt(seconds: float) -> None:
        if seconds:
            raise KeyboardInterrupt

    web = Web(server.url, wait=interrupt)
    with pytest.raises(KeyboardInterrupt):
        download(web, Wanted(f"{server.url}/file", SHA256, len(DATA)), store, keep_free=0)
    web.close()


def test_a_damaged_part_of_before_is_fetched_anew(server: WebServer, store: ContentStore) -> None:
    with store.transfer(SHA256, 0) as transfer:
        assert transfer is not None
        transfer.append(b"damaged")
    fetch(server, store)
    assert store.path(SHA256).read_bytes() == DATA


def test_a_part_longer_than_the_file_is_fetched_anew(
    server: WebServer, store: ContentStore
) -> None:
    with store.transfer(SHA256, 0) as transfer:
        assert transfer is not None
        transfer.append(DATA + b"more")
    fetch(server, store, size=None)
    assert store.path(SHA256).read_bytes() == DATA


@pytest.mark.parametrize("size", [len(DATA), None])
def test_a_length_that_is_too_large_is_a_lost_connection(
    server: WebServer, store: ContentStore, size: int | None
) -> None:
    server.behaviours["file"] = Behaviour(body=DATA[:5000], length=9_000_000, ignore_range=True)
    with pytest.raises(ConnectionLostError) as caught:
        fetch(server, store, size=size)
    assert caught.value.failure == "connection"


def test_a_body_shorter_than_the_list_says_is_a_lost_connection(
    server: WebServer, store: ContentStore
) -> None:
    server.behaviours["file"] = Behaviour(body=DATA[:5000], ignore_range=True)
    with pytest.raises(ConnectionLostError) as caught:
        fetch(server, store)
    assert f"it ended after 5,000 of {len(DATA):,} bytes" in caught.value.cause


def test_a_longer_body_is_cut_off(server: WebServer, store: ContentStore) -> None:
    server.behaviours["file"] = Behaviour(body=DATA * 20, no_length=True)
    with pytest.raises(EndlessDataError) as caught:
        fetch(server, store)
    assert caught.value.code == "RW269"
    assert store.arrived(SHA256) == 0


def test_other_content_is_refused_and_deleted(server: WebServer, store: ContentStore) -> None:
    server.behaviours["file"] = Behaviour(body=bytes(len(DATA)))
    with pytest.raises(WrongContentError) as caught:
        fetch(server, store)
    assert caught.value.cause.startswith(f"{server.url}/file has the SHA-256 ")
    assert store.arrived(SHA256) == 0
    assert server.paths() == ["/file"]


def test_a_wrong_range_is_refused(server: WebServer, store: ContentStore) -> None:
    with store.transfer(SHA256, 0) as transfer:
        assert transfer is not None
        transfer.append(DATA[:1000])
    server.behaviours["file"] = Behaviour(
        times=1, headers={"Content-Range": f"bytes 5-9/{len(DATA)}"}, body=DATA
    )
    fetch(server, store)
    assert store.path(SHA256).read_bytes() == DATA


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_not_tried_again(server: WebServer, store: ContentStore, status: int) -> None:
    server.behaviours["file"] = Behaviour(status=status)
    with pytest.raises(StatusError) as caught:
        fetch(server, store)
    assert caught.value.cause == f"{server.url}/file was answered with status {status}"
    assert len(server.requests) == 1


def test_a_busy_server_is_asked_again_a_few_times(server: WebServer, store: ContentStore) -> None:
    server.behaviours["file"] = Behaviour(times=2, status=503)
    waits = Waits()
    fetch(server, store, waits)
    assert waits.waited == [1.0, 2.0]
    store.path(SHA256).unlink()
    server.behaviours["file"] = Behaviour(status=503)
    server.requests.clear()
    with pytest.raises(StatusError) as caught:
        fetch(server, store)
    assert (caught.value.failure, len(server.requests)) == ("status", TRIES)


def test_a_server_that_is_away_is_a_connection_failure(store: ContentStore, tmp_path: Path) -> None:
    with web_server(tmp_path) as gone:
        pass
    with pytest.raises(ConnectionLostError) as caught:
        fetch(gone, store)
    assert "Connection refused" in caught.value.cause


def test_a_name_that_nobody_has_is_an_address_failure(store: ContentStore) -> None:
    web = Web(wait=lambda _: None)
    with pytest.raises(AddressError) as caught:
        download(web, Wanted("http://nobody.invalid/x", SHA256), store, keep_free=0)
    web.close()
    assert caught.value.cause == (
        "http://nobody.invalid/x cannot be used: no host is called nobody.invalid"
    )


def test_a_proxy_that_is_away_is_a_proxy_failure(
    server: WebServer, store: ContentStore, tmp_path: Path
) -> None:
    with web_server(tmp_path) as gone:
        pass
    with pytest.raises(ProxyError) as caught:
        fetch(server, store, proxy=gone.url)
    assert caught.value.cause.startswith(f"the proxy {gone.url} does not pass it on: ")
    with pytest.raises(ProxyError) as caught:
        fetch(server, store, proxy="http://nobody.invalid:3128")
    assert caught.value.cause.endswith("its name is not known")


def test_a_proxy_that_wants_a_login_says_so(server: WebServer, store: ContentStore) -> None:
    server.behaviours["file"] = Behaviour(status=407, headers={"Proxy-Authenticate": "Basic"})
    with pytest.raises(ProxyError) as caught:
        fetch(server, store, proxy=server.url)
    assert caught.value.cause.endswith("does not pass it on: it wants a login")


def test_proxies_of_the_environment_are_ignored(
    server: WebServer, store: ContentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://nobody.invalid:3128")
    fetch(server, store)


def test_a_login_goes_to_its_own_server_and_to_no_other(
    server: WebServer, store: ContentStore, tmp_path: Path
) -> None:
    served = tmp_path / "other"
    served.mkdir()
    (served / "file").write_bytes(DATA)
    with web_server(served) as other:
        server.behaviours["file"] = Behaviour(status=302, headers={"Location": f"{other.url}/file"})
        fetch(server, store, login=Login("mirror", "s3cret"))
        (theirs,) = (headers for _, headers in other.requests)
    (ours,) = (headers for _, headers in server.requests)
    assert ours["authorization"] == f"Basic {b64encode(b'mirror:s3cret').decode()}"
    assert "authorization" not in theirs
    assert store.has(SHA256)


def test_a_login_does_not_go_over_the_network_unencrypted(store: ContentStore) -> None:
    web = Web("http://packages.invalid", login=Login("mirror", "s3cret"))
    with pytest.raises(AddressError) as caught:
        download(web, Wanted("http://packages.invalid/x", SHA256), store, keep_free=0)
    web.close()
    assert "the login would go over the network unencrypted" in caught.value.cause
    assert "s3cret" not in f"{caught.value!r} {web!r} {Login('mirror', 's3cret')!r}"


@pytest.mark.parametrize("target", ["/file", "ftp://127.0.0.1/file", "file:///etc/passwd"])
def test_redirects_end(server: WebServer, store: ContentStore, target: str) -> None:
    server.behaviours["file"] = Behaviour(status=301, headers={"Location": target})
    with pytest.raises(AddressError) as caught:
        fetch(server, store)
    assert "redirect" in caught.value.cause
    assert len(server.requests) <= 6


def test_a_trickle_is_given_up(server: WebServer, store: ContentStore) -> None:
    """The server sends 1,024 bytes at a time, and a minute passes before each."""
    server.behaviours["file"] = Behaviour(pause=0.002)

    class Slow(Waits):
        def now(self) -> float:
            self.time += 31
            return self.time

    with pytest.raises(ConnectionLostError) as caught:
        fetch(server, store, Slow())
    assert "which is too slow" in caught.value.cause


def test_a_rate_is_kept(server: WebServer, store: ContentStore) -> None:
    waits = Waits()
    fetch(server, store, waits, max_rate=100_000.0)
    assert sum(waits.waited) == pytest.approx(len(DATA) / 100_000)


def test_a_full_disk_ends_the_transfer_and_is_no_lost_connection(
    server: WebServer, store: ContentStore
) -> None:
    web = Web(server.url, wait=lambda _: None)
    with pytest.raises(NoRoomError) as caught:
        download(web, Wanted(f"{server.url}/file", SHA256), store, keep_free=1 << 60)
    web.close()
    assert caught.value.failure == "space"
    assert len(server.requests) == 1


def test_files_of_documents_are_fetched_and_one_that_fails_stops_no_other(
    server: WebServer, store: ContentStore
) -> None:
    wanted = [Wanted(f"{server.url}/{name}", SHA256) for name in ("missing", "file", "file")]
    wrong = Wanted(f"{server.url}/missing", "0" * 64)
    fetched = fetch_files([wrong, *wanted[1:]], store, keep_free=0)
    assert fetched.present == (SHA256,)
    ((failed, error),) = fetched.failed
    assert (failed, error.code) == (wrong, "RW264")
