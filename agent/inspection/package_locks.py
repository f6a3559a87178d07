"""Updates that are under way: who holds the locks of dpkg, APT, RPM, DNF, Zypper and PackageKit.

dpkg, APT and RPM lock files by fcntl(2), which ``/proc/locks`` shows (proc_locks(5)). Zypper and
DNF 4 write their process id into a file.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import frozen

from agent.inspection.host_paths import HostPaths, read_line
from agent.plain_text import plain_text

LOCKED_FILES = (
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/lock",
    "var/cache/apt/archives/lock",
    "var/lib/rpm/.rpm.lock",
    "usr/lib/sysimage/rpm/.rpm.lock",
)
PID_FILES = {
    "run/zypp.pid": ("zypper", "packagekitd", "y2"),
    "var/lib/dnf/rpmdb_lock.pid": ("dnf", "yum", "packagekitd", "microdnf"),
    "var/cache/dnf/download_lock.pid": ("dnf", "yum", "packagekitd", "microdnf"),
    "run/yum.pid": ("yum", "dnf"),
}
"""Files with a process id, and how the programs that write them are called.

Such a file may be left over: its process counts only while it has one of these names.
"""
_FIELDS = 8


@frozen
class PackageLock:
    """A process that installs, removes or updates packages."""

    program: str
    pid: int
    """0 where the kernel does not tell (open file description locks)."""
    path: Path


def package_locks(paths: HostPaths) -> tuple[PackageLock, ...]:
    """Return the updates that are under way, one for each process."""
    found = [*_locked(paths), *_named(paths)]
    first = {lock.pid: lock for lock in reversed(found)}
    return tuple(lock for lock in found if not lock.pid or first[lock.pid] is lock)


def parse_locks(text: str) -> Iterator[tuple[int, int]]:
    """Yield process and inode of each lock for writing that is held, not waited for.

    A line is ``1: POSIX  ADVISORY  WRITE 4711 fe:00:131 0 EOF``; those that wait have ``->`` after
    the number. Whatever has another form is passed over.
    """
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < _FIELDS or fields[1] == "->" or fields[3] != "WRITE":
            continue
        pid, (*_, inode) = fields[4], fields[5].split(":")
        if pid.lstrip("-").isdecimal() and inode.isdecimal():
            yield max(int(pid), 0), int(inode)


def _locked(paths: HostPaths) -> Iterator[PackageLock]:
    files: dict[int, list[Path]] = {}
    for name in LOCKED_FILES:
        path = paths.root / name
        try:
            files.setdefault(path.stat().st_ino, []).append(path)
        except OSError:
            continue
    if not files:
        return
    try:
        text = (paths.proc / "locks").read_text("utf-8", "replace")
    except OSError:
        return
    for pid, inode in parse_locks(text):
        for path in files.get(inode, ()):
            # Inodes of several file systems are equal, and a device's number is no help: that of
            # a btrfs subvolume is another one here than in stat(2).
            if not pid or _has_open(paths.proc, pid, path):
                program = read_line(paths.proc / str(pid) / "comm") if pid else ""
                yield PackageLock(plain_text(program, 64) or "a process", pid, path)


def _has_open(proc: Path, pid: int, path: Path) -> bool:
    try:
        links: Iterable[Path] = tuple((proc / str(pid) / "fd").iterdir())
    except OSError:
        return False
    for link in links:
        try:
            if link.samefile(path):
                return True
        except OSError:
            continue
    return False


def _named(paths: HostPaths) -> Iterator[PackageLock]:
    for name, programs in PID_FILES.items():
        path = paths.root / name
        text = read_line(path)
        if not text.isdecimal() or len(text) > 10:  # noqa: PLR2004 - no process id is longer
            continue
        program = read_line(paths.proc / text / "comm")
        if program.startswith(programs):
            yield PackageLock(plain_text(program, 64), int(text), path)
