"""Mirroring by the command line: a real proxy, a full disk, SIGKILL in the middle, https."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from builders.package_world import PackageWorld
from builders.simulated_site import simulated_site
from builders.web_server import Behaviour, WebServer, web_server

from providers.content.store import ContentStore
from providers.lab.simulate.machine_list import SERVER
from providers.package_source.keys import public_text

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(120)]

PROGRAM = Path(sys.executable).with_name("rackwright")
SECRET = "tell-nobody"  # noqa: S105 - the test's own
BIG = os.urandom(4 << 20)


class Site:
    """A repository behind a web server, and a fleet in a folder that mirrors it."""

    def __init__(self, folder: Path, world: PackageWorld, server: WebServer) -> None:
        self.folder, self.world, self.server = folder, world, server
        self.fleet = folder / "fleet"
        self.state = folder / "state"
        self.fleet.mkdir()
        self.write()

    def write(self, **changes: object) -> None:
        spec = {
            "url": self.server.url,
            "signers": [public_text(self.world.keys["root"].public_key)],
            "keepFree": "1B",
            **changes,
        }
        text = json.dumps(spec).replace('"!secret packages/mirror"', "!secret packages/mirror")
        (self.fleet / "source.yaml").write_text(
            "apiVersion: rackwright/v1alpha1\nkind: PackageSource\nmetadata: {name: lab}\n"
            f"spec: {text}\n"
        )

    def arguments(self, *words: str) -> list[str]:
        return [str(PROGRAM), "package", *words]

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "RACKWRIGHT_REPO": str(self.fleet),
            "RACKWRIGHT_STATE": str(self.state),
        }

    def run(self, *words: str, expect: int = 0, **more: str) -> str:
        done = subprocess.run(
            self.arguments(*words),
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def last(self) -> dict[str, object]:
        said = subprocess.run(
            self.arguments("ls", "--sources", "--format", "json"),
            env=self.environment,
            capture_output=True,
            check=False,
            timeout=60,
        )
        (source,) = json.loads(said.stdout)["sources"]
        return source

    def offered(self) -> list[str]:
        listed = json.loads(self.run("ls", "--format", "json"))["packages"]
        return [f"{each['name']} {each['version']}" for each in listed]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    world = PackageWorld(tmp_path, datetime.now(UTC))
    world.publish("agent", "1.0", {"agent.deb": BIG})
    with web_server(world.path) as server:
        yield Site(tmp_path, world, server)


def test_a_mirror_that_is_killed_goes_on_where_it_ended(site: Site) -> None:
    (file,) = site.world.bundle("agent", "1.0", {"agent.deb": BIG}).package.files
    slow = site.server.behaviours[f"{file.sha256}.agent.deb"] = Behaviour(times=1, pause=0.0002)
    process = subprocess.Popen(
        site.arguments("mirror"), env=site.environment, stdout=subprocess.DEVNULL
    )
    store = ContentStore(site.state / "content")
    until(lambda: store.arrived(file.sha256) > 100_000)
    process.send_signal(signal.SIGKILL)
    process.wait()
    arrived = store.arrived(file.sha256)
    assert 100_000 < arrived < len(BIG)
    assert slow.times == 0
    assert "1 packages" in site.run("mirror")
    assert store.path(file.sha256).read_bytes() == BIG
    ranges = [headers.get("range") for path, headers in site.server.requests if "agent.deb" in path]
    assert ranges[0] is None
    assert ranges[1] == f"bytes={arrived}-"
    assert site.offered() == ["agent 1.0"]


def until(holds, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.01)


def test_a_disk_that_is_too_small_is_seen_before_anything_is_transferred(site: Site) -> None:
    with small_disk(site.state / "content"):
        said = site.run("mirror", expect=1)
        assert "RW260: " in said
        assert site.last()["failure"] == "space"
        assert not any("agent.deb" in path for path in site.server.paths())
        assert site.offered() == []
    assert "1 packages" in site.run("mirror")


def test_a_disk_that_fills_up_meanwhile_ends_the_mirror_and_it_goes_on_later(site: Site) -> None:
    """Files of Package documents say no size, so that the disk is full when it is."""
    (file,) = site.world.bundle("agent", "1.0", {"agent.deb": BIG}).package.files
    url = f"{site.server.url}/targets/agent/1.0/files/{file.sha256}.agent.deb"
    with small_disk(site.folder / "small") as place:
        program = (
            "import sys; from pathlib import Path\n"
            "from providers.content.download import Wanted\n"
            "from providers.content.files import fetch_files\n"
            "from providers.content.store import ContentStore\n"
            "found = fetch_files([Wanted(sys.argv[1], sys.argv[2])], "
            "ContentStore(Path(sys.argv[3])), keep_free=0)\n"
            "print(found.failed[0][1].code, found.failed[0][1].failure)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, url, file.sha256, place],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.stdout == "RW260 space\n", done.stderr


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """Mount a file system in memory of two megabytes."""
    place.mkdir(parents=True)
    options = "size=2m,mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_real_proxy_passes_it_on_and_one_with_a_login_does_not(site: Site) -> None:
    with tinyproxy(site.folder) as (port, log):
        site.write(proxy=f"http://127.0.0.1:{port}")
        assert "1 packages" in site.run("mirror")
        assert site.offered() == ["agent 1.0"]
        assert "timestamp.json" in log.read_text()
    with tinyproxy(site.folder, "BasicAuth user word") as (port, _):
        site.write(proxy=f"http://127.0.0.1:{port}")
        assert "RW262: " in site.run("mirror", expect=1)
        assert site.last()["failure"] == "proxy"
    assert "RW262: " in site.run("mirror", expect=1)
    assert site.offered() == ["agent 1.0"]


@contextmanager
def tinyproxy(folder: Path, *lines: str) -> Iterator[tuple[int, Path]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log, configuration = folder / f"proxy-{port}.log", folder / f"proxy-{port}.conf"
    log.touch()
    settings = (f"Port {port}", "Listen 127.0.0.1", "Allow 127.0.0.1", f'LogFile "{log}"')
    text = "\n".join((*settings, "LogLevel Connect", "Timeout 30", *lines))
    configuration.write_text(f"{text}\n")
    process = subprocess.Popen(["tinyproxy", "-d", "-c", configuration])
    try:
        until(lambda: connects(port))
        yield port, log
    finally:
        process.terminate()
        process.wait()


def connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_login_goes_over_https_and_is_shown_nowhere(site: Site) -> None:
    certificate = site.folder / "server.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext"),
            *("subjectAltName=DNS:localhost", "-keyout", certificate, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = site.server._server
    server.socket = context.wrap_socket(server.socket, server_side=True)
    site.write(
        url=f"https://localhost:{site.server.port}",
        login={"username": "mirror", "password": "!secret packages/mirror"},
    )
    assert "RW263: " in site.run("mirror", expect=1, RACKWRIGHT_SECRET_PACKAGES_MIRROR=SECRET)
    trusted = {"SSL_CERT_FILE": str(certificate)}
    assert "RW986: " in site.run("mirror", expect=1, **trusted)
    assert site.last()["failure"] == "secret"
    secret = site.state / "secrets" / "packages" / "mirror"
    secret.parent.mkdir(parents=True)
    secret.write_text(SECRET)
    secret.chmod(0o600)
    said = site.run("mirror", **trusted)
    assert "1 packages" in said
    _, headers = site.server.requests[-1]
    assert headers["authorization"].startswith("Basic ")
    said += site.run("ls", "--sources") + site.run("ls")
    assert SECRET not in said
    for path in site.state.rglob("*"):
        if path.is_file() and path != secret:
            assert SECRET.encode() not in path.read_bytes(), path


def test_status_shows_a_source_that_fails_until_it_is_well(site: Site) -> None:
    site.server.behaviours["timestamp.json"] = Behaviour(status=503)
    assert "RW264: " in site.run("mirror", "lab", expect=1)
    assert "RW988: " in site.run("mirror", "other", expect=1)

    def faults() -> list[str]:
        done = subprocess.run(
            [PROGRAM, "status", "--format", "json"],
            env=site.environment,
            capture_output=True,
            check=False,
            timeout=60,
        )
        return [f"{each['subject']} {each['code']}" for each in json.loads(done.stdout)["faults"]]

    assert faults() == ["package-source/lab RW264"]
    assert "503" in site.run("ls", "--sources", expect=1)
    site.server.behaviours.clear()
    site.run("mirror")
    assert faults() == []
    site.run("ls", "--sources")


def test_the_server_mirrors_by_schedule_and_hands_content_to_agents_only(
    tmp_path: Path, keep_consoles: Path
) -> None:
    world = PackageWorld(tmp_path, datetime.now(UTC))
    made = world.publish("agent", "1.0", {"agent.deb": BIG})
    (file,) = made.package.files
    with simulated_site(tmp_path, keep_consoles, 1) as site:
        web = [sys.executable, "-m", "http.server", "8000", "--bind", "127.0.0.1"]
        process = subprocess.Popen(
            site.rack.inside([*web, "--directory", str(world.path)]), stderr=subprocess.DEVNULL
        )
        try:
            at = datetime.now(UTC).isoformat(timespec="seconds")
            signer = public_text(world.keys["root"].public_key)
            (site.fleet / "source.yaml").write_text(
                "apiVersion: rackwright/v1alpha1\nkind: PackageSource\nmetadata: {name: lab}\n"
                f"spec:\n  url: http://127.0.0.1:8000\n  signers: ['{signer}']\n  keepFree: 1B\n"
                f"  schedule: {{at: '{at}'}}\n"
            )
            site.commit("A package source")
            content = site.state / "content" / "files" / file.sha256[:2] / file.sha256
            site.until(content.exists)
            assert content.read_bytes() == BIG
            site.until(lambda: "agent" in site.run("package", "ls"))
            url = f"https://{SERVER.ip}:8443/v1/content/{file.sha256}"
            curl = site.rack.inside(["curl", "--silent", "--insecure", url])
            stranger = subprocess.run(curl, capture_output=True, check=True)
            assert json.loads(stranger.stdout)["code"] == "RW531"
        finally:
            process.terminate()
            process.wait()
