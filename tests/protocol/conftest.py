"""What the tests of whole commands share."""

import json
import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders.wine import WineWindows

from tests.protocol.identity_disks import Rack, loop_devices_left, system

BOOT_FILES = {"vmlinuz": 8, "initrd.img": 8, "shimx64.efi": 8, "grubx64.efi": 8}


@pytest.fixture
def git_environment(monkeypatch):
    """Give git an author, and the computer's configuration no say."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_AUTHOR_NAME": "Jane Doe",
        "GIT_AUTHOR_EMAIL": "jane@example.org",
        "GIT_COMMITTER_NAME": "Jane Doe",
        "GIT_COMMITTER_EMAIL": "jane@example.org",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def boot_files(tmp_path):
    """A folder that describes itself as a built Deploy-OS."""
    place = tmp_path / "deploy-os"
    place.mkdir()
    for name, size in BOOT_FILES.items():
        (place / name).write_bytes(bytes(size))
    description = {
        "version": "0" * 64,
        "debian": "bookworm",
        "kernel": "6.1",
        "kernel_arguments": [],
        "packages": {},
        "sizes": BOOT_FILES,
        "digests": {},
    }
    (place / "deploy-os.json").write_text(json.dumps(description), "utf-8")
    return place


@pytest.fixture
def namespace():
    """A network namespace with the fleet's address in it."""
    name = f"rw-{uuid.uuid4().hex[:8]}"
    inside = ["ip", "netns", "exec", name]
    subprocess.run(["ip", "netns", "add", name], check=True)
    for command in (
        ["ip", "link", "set", "lo", "up"],
        ["ip", "link", "add", "rack0", "type", "bridge"],
        ["ip", "address", "add", "10.77.0.1/24", "dev", "rack0"],
        ["ip", "link", "set", "rack0", "up"],
    ):
        subprocess.run([*inside, *command], check=True)
    yield inside
    subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.fixture(scope="session")
def windows(tmp_path_factory):
    """A Windows of Wine's; making it takes 10 s and more."""
    wine = WineWindows(tmp_path_factory.mktemp("wine") / "prefix")
    staying = wine.start()
    yield wine
    wine.stop(staying)


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[Rack]:
    """What is mounted for a look is mounted in a folder of the test's own."""
    (tmp_path / "temporary").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
        yield Rack(tmp_path)
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
    assert not loop_devices_left(str(tmp_path))


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    root = tmp_path / "golden"
    root.mkdir()
    system(root)
    return root
