"""One virtual rack with a Git repository and a state directory: a user's whole site."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git import Repo

from providers.lab.client import RackClient
from providers.lab.directory import LabDirectory

CACHE = Path(".cache/lab/cache").absolute()
"""Shared with `make demo`: what one builds the other uses."""
PACKAGES = Path(".cache/deploy-os").absolute()
"""Likewise: what the Deploy-OS is made of."""
TAIL = 3000


class Site:
    """Runs the real command line inside the rack's network."""

    def __init__(self, directory: Path, rack: RackClient, boot_files: Path) -> None:
        self.directory = directory
        self.rack = rack
        self.state = directory / "state"
        self.fleet = directory / "fleet"
        shutil.copytree("examples/lab/fleet", self.fleet)
        self._repository = Repo.init(self.fleet, initial_branch="main")
        self.commit("The example fleet")
        self._environment = {
            **os.environ,
            "RACKWRIGHT_STATE": str(self.state),
            "RACKWRIGHT_REPO": str(self.fleet),
            "RACKWRIGHT_BOOT_FILES": str(boot_files),
        }

    def disk(self, machine: str) -> Path:
        """Return the file that is a machine's disk."""
        return LabDirectory.at(self.rack.directory).machine(machine).disk

    def commit(self, subject: str) -> None:
        """Commit all changes to the fleet."""
        self._repository.git.add(all=True)
        self._repository.index.commit(subject)

    def edit(self, name: str, pattern: str, replacement: str) -> None:
        """Change one place of a file of the fleet and commit it."""
        path = self.fleet / name
        text, count = re.subn(pattern, replacement, path.read_text("utf-8"), count=1)
        assert count == 1, f"{pattern} is not in {name}"
        path.write_text(text, "utf-8")
        self.commit(f"Edit {name}")

    def run(self, *arguments: str, expect: int) -> str:
        """Run a command to its end; return what it printed."""
        done = subprocess.run(
            self._argv(arguments),
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        said = done.stdout + done.stderr
        assert done.returncode == expect, f"{arguments} ended with {done.returncode}:\n{said}"
        return said

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run a command beside the test; it is stopped at the end if it still runs."""
        process = subprocess.Popen(
            self._argv(arguments),
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=60)

    def status(self) -> dict[str, Any]:
        """Return each machine's state."""
        document = json.loads(self.run("status", "--format", "json", expect=0))
        return {machine["machine"]: machine for machine in document["machines"]}

    def keep_consoles(self, place: Path) -> None:
        """Copy all consoles to ``place`` and print their last lines."""
        shutil.copytree(self.rack.directory, place, ignore=_only_logs, dirs_exist_ok=True)
        for log in sorted(place.rglob("*.log")):
            print(f"--- {log}\n{log.read_text('utf-8', 'replace')[-TAIL:]}")  # noqa: T201

    def _argv(self, arguments: tuple[str, ...]) -> list[str]:
        return self.rack.exec_argv([sys.executable, "-m", "reconciler.cli", *arguments])


def _only_logs(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if not (name.endswith(".log") or (Path(folder) / name).is_dir())}


def digest_of(path: Path) -> str:
    """Return the digest of a whole disk."""
    with path.open("rb") as disk:
        return hashlib.file_digest(disk, "blake2b").hexdigest()


@dataclass(frozen=True)
class Partition:
    """Where a partition of a disk lies, in bytes, and its GUID on a GPT."""

    offset: int
    size: int
    uuid: str

    @property
    def end(self) -> int:
        """Return the first byte behind it."""
        return self.offset + self.size


def partitions(disk: Path) -> list[Partition]:
    """Return a disk's partitions in the order of its table."""
    table = json.loads(_output("sfdisk", "--json", str(disk)))["partitiontable"]
    return [
        Partition(each["start"] * 512, each["size"] * 512, each.get("uuid", "").lower())
        for each in table["partitions"]
    ]


def file_on_disk(disk: Path, path: str) -> str:
    """Return a text file of the ext4 file system on a disk's last partition."""
    return _output("debugfs", "-R", f"cat {path}", f"{disk}?offset={partitions(disk)[-1].offset}")


def file_system_size(disk: Path) -> int:
    """Return how many bytes the ext4 file system on a disk's last partition has."""
    said = _output("dumpe2fs", "-h", f"{disk}?offset={partitions(disk)[-1].offset}")
    fields = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    return int(fields["Block count"]) * int(fields["Block size"])


def _output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, check=True, text=True).stdout
