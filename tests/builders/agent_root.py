"""Systems to install the agent's packages into: Debian in a folder, kept as tars between runs."""

import os
import stat
import subprocess
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from builders.made_once import made_once

CACHE = Path(".cache").absolute()
MORE = {"bookworm": ("systemd",)}
"""Packages beyond the smallest system: one suite has systemd, the others do without."""

# Of the package managers themselves.
OF_MANAGERS = (
    "etc/dnf",
    "var/cache",
    "var/lib/apt",
    "var/lib/dnf",
    "var/lib/dpkg",
    "var/lib/rpm",
    "var/log",
)
# A package manager's locks and what every run of a program may touch.
VOLATILE = ("dev", "proc", "run", "sys", "tmp", "root")

_ENTER = """\
mount -t proc proc "$0/proc" && mount --rbind /sys "$0/sys" && exec chroot "$0" "$@"
"""


def debian_tar(suite: str) -> Path:
    """Return the tar of a small Debian, made with the network at the first call."""
    include = [f"--include={','.join(MORE[suite])}"] if suite in MORE else []
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", *include, suite]
    return made_once(
        CACHE / "package-roots" / f"{suite}.tar",
        lambda new: subprocess.run([*command, str(new)], check=True),
    )


class PackageRoot:
    """One system in a folder."""

    def __init__(self, folder: Path, tar: Path) -> None:
        self.folder = folder
        folder.mkdir()
        subprocess.run(["tar", "-xf", str(tar), "-C", str(folder)], check=True)

    def arguments(self, *words: str) -> list[str]:
        """Return the command that runs a program of the system, with /proc and /sys."""
        return ["unshare", "--mount", "sh", "-c", _ENTER, str(self.folder), *words]

    def run(self, *words: str, check: bool = True, text: str = "") -> subprocess.CompletedProcess:
        """Run a program of the system to its end; its output is kept."""
        done = subprocess.run(
            self.arguments(*words),
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"},
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()

    def exists(self, name: str) -> bool:
        return os.path.lexists(self.folder / name)

    def tree(self) -> dict[str, str]:
        """Return all that is there, by path, with what it is and holds."""
        found: dict[str, str] = {}
        for folder, directories, names in os.walk(self.folder):
            below = Path(folder).relative_to(self.folder)
            directories[:] = [
                name for name in directories if str(below / name) not in (*VOLATILE, *OF_MANAGERS)
            ]
            for name in [*directories, *names]:
                found[str(below / name)] = _description(Path(folder, name))
        return found


def changes(before: dict[str, str], after: dict[str, str]) -> Sequence[str]:
    """Return the paths that are not the same in both."""
    return sorted(path for path in before.keys() | after if before.get(path) != after.get(path))


def _description(path: Path) -> str:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return f"-> {path.readlink()}"
    content = sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(status.st_mode) else ""
    return f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid} {content}"
