"""The agent's packages: installed by real package managers, run where there is no Python."""

import dataclasses
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from builders.agent_root import CACHE, PackageRoot, changes, debian_tar

import agent
from agent.errors import TerminalError
from agent.version import AGENT_VERSION
from providers.agent_package import archive
from providers.agent_package.build import PackageOrder, build
from providers.agent_package.recipe import LockedPackage, RuntimeRecipe, load_recipe
from providers.deploy_os import elf
from tests.protocol.agent_control_plane import FakeControlPlane

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(600)]

NAME = "rackwright-agent"
HOME = "opt/rackwright-agent"
CONFIG = "etc/rackwright/agent.json"
TOKEN = "etc/rackwright/token"  # noqa: S105 - a file
ENABLED = "etc/systemd/system/multi-user.target.wants/rackwright-agent.service"
SUITES = [
    "bookworm",
    pytest.param("bullseye", marks=pytest.mark.nightly),
    pytest.param("trixie", marks=pytest.mark.nightly),
]
Build = Callable[[PackageOrder], Path]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeControlPlane]:
    plane = FakeControlPlane(tmp_path_factory.mktemp("plane"))
    plane.up()
    yield plane
    plane.down()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Return what builds a package, each once."""
    known: dict[PackageOrder, Path] = {}
    source = Path(agent.__file__).parent

    def once(order: PackageOrder) -> Path:
        if order not in known:
            output = tmp_path_factory.mktemp("packages")
            cache = Path(".cache/agent-package")
            known[order] = build(order, output, cache, source, lambda _text, _share: None)
        return known[order]

    return once


@pytest.fixture(scope="module")
def for_no_server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tar that the command built where no server ran."""
    folder = tmp_path_factory.mktemp("command")
    command = [sys.executable, "-m", "reconciler.cli", "agent", "package", "--format", "tar"]
    command += ["--cache", ".cache/agent-package", "--out", str(folder), "--state", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "It is for no server: rackwright-agent join --server URL" in done.stdout
    (package,) = folder.glob("*.tar.gz")
    return package


@pytest.fixture
def new_root(tmp_path: Path) -> Callable[[str], PackageRoot]:
    return lambda suite: PackageRoot(tmp_path / "root", debian_tar(suite))


@contextmanager
def running_service(root: PackageRoot, plane: FakeControlPlane) -> Iterator[int]:
    """Run the service until it has reported once more; yield its process id."""
    reports = len(plane.reports)
    process = subprocess.Popen(
        root.arguments(f"/usr/sbin/{NAME}", "service"),
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LD_LIBRARY_PATH": "/of/the/host"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        try:
            plane.wait_for(lambda: len(plane.reports) > reports, 60)
        except AssertionError as error:
            process.kill()
            raise AssertionError(process.communicate()[1]) from error
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def install(root: PackageRoot, package: Path) -> None:
    """Install a file by apt-get, which is told nothing else."""
    shutil.copy(package, root.folder / "root")
    done = root.run("apt-get", "--quiet=2", "--yes", "install", f"/root/{package.name}")
    said = [line for line in (done.stdout + done.stderr).splitlines() if "rror" in line]
    assert said == []


@pytest.mark.parametrize("suite", SUITES)
def test_a_deb_installs_runs_upgrades_and_leaves_nothing(
    suite: str, plane: FakeControlPlane, built: Build, new_root: Callable[[str], PackageRoot]
) -> None:
    root = new_root(suite)
    before = root.tree()
    token = f"token-of-{suite}"
    plane.add_token(token, f"node-{suite}")
    root.write(TOKEN, f"{token}\n", 0o600)
    root.write("etc/nsswitch.conf", "hosts: mymachines [!UNAVAIL=return] resolve\npasswd: sss\n")
    install(root, built(PackageOrder("deb", 1, plane.url, plane.pin)))
    assert root.run(NAME, "version").stdout == (
        f"{NAME} {AGENT_VERSION} (package {AGENT_VERSION}-1, Python 3.11.2)\n"
    )
    assert (root.folder / ENABLED).readlink() == Path("/usr/lib/systemd/system") / f"{NAME}.service"

    with running_service(root, plane) as process:
        assert carried_files(process, root)
        environment = Path(f"/proc/{process}/environ").read_text()
        assert "LD_LIBRARY_PATH" not in environment
    assert plane.tokens[token].used_by
    assert not root.exists(TOKEN)
    assert token not in root.read(CONFIG)
    report = plane.reports[-1]
    assert report.installed is not None
    assert report.installed.os.startswith("Debian GNU/Linux")
    assert not [problem for problem in report.problems if "RW566" in problem]

    config = root.read(CONFIG)
    install(root, built(PackageOrder("deb", 2, plane.url, plane.pin)))
    assert [path.name for path in (root.folder / HOME / "versions").iterdir()] == [
        f"{AGENT_VERSION}-2"
    ]
    enrollments = plane.count("POST /v1/enroll")
    with running_service(root, plane):
        pass
    assert plane.count("POST /v1/enroll") == enrollments
    assert root.read(CONFIG) == config

    root.run("apt-get", "--quiet=2", "--yes", "remove", NAME)
    assert not root.exists(HOME)
    assert not root.exists(ENABLED)
    assert root.read(CONFIG) == config
    root.run("apt-get", "--quiet=2", "--yes", "purge", NAME)
    assert changes(before, root.tree()) == ["etc/nsswitch.conf"]


def carried_files(process: int, root: PackageRoot) -> list[str]:
    """Return what the process and those below it have mapped, all of it of the package."""
    maps = Path(f"/proc/{process}/maps").read_text()
    files = sorted({line.split()[-1] for line in maps.splitlines() if "/" in line})
    strange = [name for name in files if f"/{HOME}/versions/" not in name]
    assert strange == [], f"{strange} of {root.folder}"
    return files


def test_a_service_that_was_disabled_stays_so_and_a_new_installation_enables_it(
    plane: FakeControlPlane, built: Build, new_root: Callable[[str], PackageRoot]
) -> None:
    root = new_root("bookworm")
    first, second = (built(PackageOrder("deb", n, plane.url, plane.pin)) for n in (1, 2))
    install(root, first)
    assert root.run("systemctl", "is-enabled", NAME).stdout == "enabled\n"
    verified = root.run("systemd-analyze", "verify", f"{NAME}.service", check=False)
    assert NAME not in verified.stderr
    root.run("systemctl", "disable", NAME)
    install(root, second)
    assert root.run("systemctl", "is-enabled", NAME, check=False).stdout == "disabled\n"
    root.run("dpkg", "--remove", NAME)
    install(root, first)
    assert root.run("systemctl", "is-enabled", NAME).stdout == "enabled\n"


def test_join_takes_the_token_from_standard_input_and_leave_forgets_all(
    plane: FakeControlPlane, built: Build, new_root: Callable[[str], PackageRoot]
) -> None:
    root = new_root("bookworm")
    root.write("var/lib/rackwright/rackwright.db", "of a server on this machine")
    install(root, built(PackageOrder("deb", 1, plane.url, plane.pin)))
    idle = root.run(NAME, "service", check=False)
    assert idle.returncode == 3
    assert "RW580: this agent has not joined a server" in idle.stderr
    plane.add_token("t-join", "node-join")
    join = (NAME, "join", "--token-file", "-", "--server", plane.url)
    spelling = ":".join(re.findall("..", plane.pin.upper()))
    joined = root.run(*join, "--pin", spelling, text="t-join\n")
    assert joined.stdout == f"joining {plane.url}: it enrolls when the service starts\n"
    assert (root.folder / CONFIG).stat().st_mode & 0o777 == 0o600
    with running_service(root, plane):
        pass
    again = root.run(*join, "--pin", plane.pin, text="t-join\n", check=False)
    assert again.returncode == 3
    assert again.stderr.startswith(f"RW582: this agent belongs to {plane.url} already")
    root.run(NAME, "leave")
    assert not root.exists(CONFIG)
    state = root.folder / "var/lib/rackwright"
    assert [path.name for path in state.iterdir()] == ["rackwright.db"]
    root.run("dpkg", "--purge", NAME)
    assert [path.name for path in state.iterdir()] == ["rackwright.db"]


def test_the_agent_of_a_restored_system_is_taken_over(
    plane: FakeControlPlane, built: Build, new_root: Callable[[str], PackageRoot]
) -> None:
    root = new_root("bookworm")
    unit = "etc/systemd/system/rackwright-agent.service"
    root.write(unit, "[Service]\nWorkingDirectory=/usr/lib/rackwright\n")
    root.write("usr/lib/rackwright/agent/main.py", "")
    root.write(CONFIG, "{}", 0o600)
    install(root, built(PackageOrder("deb", 1, plane.url, plane.pin)))
    assert not root.exists(unit)
    assert not root.exists("usr/lib/rackwright")
    assert root.read(CONFIG) == "{}"


def test_names_are_looked_up_whatever_modules_the_host_names(
    for_no_server: Path, new_root: Callable[[str], PackageRoot]
) -> None:
    root = new_root("bookworm")
    subprocess.run(["tar", "-xzf", for_no_server, "-C", root.folder], check=True)
    root.write("etc/nsswitch.conf", "hosts: myhostname [!UNAVAIL=return]\npasswd: sss\n")
    root.write("etc/hosts", "192.0.2.7 server.example\n")
    program = (
        "import runpy, sys, socket, pwd\n"
        "start = runpy.run_path(f'{sys.argv[1]}/__main__.py', run_name='start')\n"
        "start['choose_name_services']()\n"
        "print(socket.gethostbyname('server.example'), pwd.getpwnam('root').pw_uid)\n"
        "import zoneinfo; sys.path.insert(0, sys.argv[1]); print(zoneinfo.ZoneInfo('Asia/Tokyo'))"
    )
    shutil.rmtree(root.folder / "usr/share/zoneinfo", ignore_errors=True)
    python = f"/{HOME}/current/usr/bin/python3.11"
    done = root.run(python, "-I", "-c", program, f"/{HOME}/current/usr/lib/rackwright")
    assert done.stdout == "192.0.2.7 0\nAsia/Tokyo\n"


def test_it_runs_where_there_is_no_c_library_and_needs_an_old_kernel_only(
    for_no_server: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["tar", "-xzf", for_no_server, "-C", root], check=True)
    python, start = (f"/{HOME}/current/usr/{name}" for name in ("bin/python3.11", "lib/rackwright"))
    line = ["chroot", str(root), python, "-I", "-B", "-X", "utf8", start, "version"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{NAME} ")
    links = [path for path in root.rglob("*") if path.is_symlink()]
    assert [path for path in links if not path.resolve().is_relative_to(root)] == []
    (libc,) = root.glob(f"{HOME}/versions/*/usr/lib/x86_64-linux-gnu/libc.so.6")
    note = elf.section(libc.read_bytes(), ".note.ABI-tag")
    assert [int.from_bytes(note[at : at + 4], "little") for at in (20, 24, 28)] == [3, 2, 0]


def rpm(root: PackageRoot, *words: str) -> subprocess.CompletedProcess[str]:
    line = ["rpm", "--force-debian", "--root", str(root.folder), *words]
    return subprocess.run(line, capture_output=True, text=True, check=True)


def dnf(root: PackageRoot, *words: str) -> None:
    line = ["dnf", f"--installroot={root.folder}", "--quiet", "--assumeyes", "--disablerepo=*"]
    settings = ["--releasever=9", "--setopt=reposdir=/dev/null", "--setopt=gpgcheck=0"]
    subprocess.run([*line, *settings, *words], capture_output=True, text=True, check=True)


@pytest.fixture
def rpm_root(new_root: Callable[[str], PackageRoot], tmp_path: Path) -> PackageRoot:
    """Return a system whose rpm database knows of a shell, as that of every real one does."""
    root = new_root("bookworm")
    spec = tmp_path / "shell.spec"
    spec.write_text(
        "Name: shell\nVersion: 1\nRelease: 1\nSummary: s\nLicense: l\nBuildArch: noarch\n"
        "Provides: /bin/sh\n%description\n%files\n"
    )
    defines = ["--define", f"_topdir {tmp_path}", "--define", f"_rpmdir {tmp_path}"]
    subprocess.run(["rpmbuild", "-bb", *defines, str(spec)], capture_output=True, check=True)
    rpm(root, "--install", str(tmp_path / "noarch/shell-1-1.noarch.rpm"))
    return root


def test_an_rpm_installs_runs_upgrades_and_leaves_nothing(
    plane: FakeControlPlane, built: Build, rpm_root: PackageRoot
) -> None:
    root = rpm_root
    before = root.tree()
    plane.add_token("t-rpm", "node-rpm")
    root.write(TOKEN, "t-rpm", 0o600)
    done = rpm(root, "--install", str(built(PackageOrder("rpm", 1, plane.url, plane.pin))))
    assert done.stdout + done.stderr == ""
    assert root.exists(ENABLED)
    with running_service(root, plane) as process:
        assert carried_files(process, root)
    assert not root.exists(TOKEN)
    config = root.read(CONFIG)
    dnf(root, "install", str(built(PackageOrder("rpm", 2, plane.url, plane.pin))))
    assert root.run(NAME, "version").stdout.startswith(
        f"{NAME} {AGENT_VERSION} (package {AGENT_VERSION}-2"
    )
    assert root.exists(ENABLED)
    assert root.read(CONFIG) == config
    dnf(root, "remove", NAME)
    assert changes(before, root.tree()) == []
    dnf(root, "install", str(built(PackageOrder("rpm", 1, plane.url, plane.pin))))
    done = rpm(root, "--erase", NAME)
    assert done.stdout + done.stderr == ""
    assert changes(before, root.tree()) == []


@pytest.mark.nightly
def test_another_host_builds_the_same_bytes(built: Build, tmp_path: Path) -> None:
    order = PackageOrder("tar")
    cache = tmp_path / "cache"
    shutil.copytree(CACHE / "agent-package/packages", cache / "packages")
    source = Path(shutil.copytree(Path(agent.__file__).parent, tmp_path / "agent"))
    again = build(order, tmp_path / "out", cache, source, lambda _text, _share: None)
    assert again.read_bytes() == built(order).read_bytes()


class _Mirror(BaseHTTPRequestHandler):
    """Has one package under one of two addresses."""

    def do_GET(self) -> None:
        content = Path(self.server.package).read_bytes() if "/second/" in self.path else b""
        self.send_response(200 if content else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), _Mirror)
    server.package = tmp_path / "package"
    server.package.write_bytes(b"a package")
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def recipe_of(mirror: HTTPServer, digest: str) -> RuntimeRecipe:
    address = f"http://127.0.0.1:{mirror.server_address[1]}"
    package = LockedPackage("demo", "1", "debian", "pool/main/d/demo_1_amd64.deb", 9, digest)
    places = (f"{address}/{name}/{{archive}}/{{path}}" for name in ("first", "second"))
    return dataclasses.replace(load_recipe(), locked=(package,), mirrors=tuple(places))


def test_a_package_that_a_mirror_dropped_comes_from_the_next(
    mirror: HTTPServer, tmp_path: Path
) -> None:
    recipe = recipe_of(mirror, sha256(b"a package").hexdigest())
    (path,) = archive.fetch(recipe, tmp_path / "packages")
    assert path.read_bytes() == b"a package"
    mirror.shutdown()
    assert archive.fetch(recipe, tmp_path / "packages") == [path]


def test_a_package_with_another_hash_is_refused(mirror: HTTPServer, tmp_path: Path) -> None:
    recipe = recipe_of(mirror, sha256(b"the package").hexdigest())
    with pytest.raises(
        TerminalError, match=r"demo 1; apt said:(.*\n)+.*/second/.*Hash Sum mismatch"
    ):
        archive.fetch(recipe, tmp_path / "packages")
