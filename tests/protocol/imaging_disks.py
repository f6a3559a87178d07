"""Disks for the imaging tests: raw files with real tables and file systems."""

import hashlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agent.imaging.chunk import unpack
from agent.wire.disk import Disk, DiskIdentity

MIB = 1 << 20


def noise(size: int, seed: int = 1) -> bytes:
    """Return the same incompressible bytes every time."""
    return hashlib.shake_256(str(seed).encode()).digest(size)


def run(*command: str | Path, stdin: str = "") -> str:
    return subprocess.run(
        [str(word) for word in command], input=stdin, capture_output=True, check=True, text=True
    ).stdout


def tree(folder: Path, seed: int, size: int) -> Path:
    """Fill a folder with files of about ``size`` bytes in all, half of them compressible."""
    folder.mkdir(parents=True)
    for number, length in enumerate((300 << 10, 5000, 2 << 20, 100, 900 << 10) * 100):
        if size <= 0:
            break
        data = noise(length, seed + number) if number % 2 else b"rackwright " * (length // 11)
        (folder / f"file-{number}").write_bytes(data)
        size -= length
    return folder


def blank(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def garbage(path: Path, size: int) -> Path:
    blank(path, size)
    with path.open("r+b") as file:
        for number in range(size // MIB):
            file.write(noise(MIB // 2, number))
            file.seek(MIB // 2, os.SEEK_CUR)
    return path


def table(path: Path, script: str) -> Path:
    run("sfdisk", "--quiet", path, stdin=script)
    return path


def ext4(path: Path, start: int, size: int, content: Path | None = None, *options: str) -> Path:
    source = ["-d", str(content)] if content else []
    run(
        *("mkfs.ext4", "-q", "-F", "-b", "4096", "-E", f"offset={start},root_owner=0:0"),
        *(*options, *source, path, f"{size // 1024}k"),
    )
    return path


def vfat(path: Path, start: int, size: int) -> Path:
    run("mkfs.vfat", "-F", "16", "--offset", str(start // 512), path, f"{size // 1024}")
    return path


def gpt_disk(path: Path, content: Path, size: int = 128 * MIB) -> Path:
    """BIOS boot, EFI system partition, ext4 and swap, with code in the boot sector."""
    blank(path, size)
    table(
        path,
        "label: gpt\n"
        "start=1MiB, size=1MiB, type=21686148-6449-6E6F-744E-656564454649\n"
        "start=2MiB, size=16MiB, type=U\n"
        f"start=18MiB, size={size // MIB - 35}MiB, type=L\n"
        f"start={size // MIB - 17}MiB, size=16MiB, type=S\n",
    )
    with path.open("r+b") as file:
        file.write(b"\xfa\x90" * 200)  # boot code
        file.seek(1 * MIB)
        file.write(b"core.img" * 1000)
    vfat(path, 2 * MIB, 16 * MIB)
    ext4(path, 18 * MIB, size - 35 * MIB, content)
    swap = path.with_suffix(".swap")
    blank(swap, 16 * MIB).chmod(0o600)
    subprocess.run(["mkswap", swap], check=True, capture_output=True)
    insert(path, size - 17 * MIB, swap)
    return path


def mbr_disk(path: Path, content: Path, size: int = 96 * MIB) -> Path:
    """A bootable primary ext4 and an ext4 in a logical partition."""
    blank(path, size)
    table(
        path,
        "label: dos\n"
        "start=1MiB, size=40MiB, type=83, bootable\n"
        f"start=41MiB, size={size // MIB - 41}MiB, type=5\n"
        "start=42MiB, size=24MiB, type=83\n",
    )
    with path.open("r+b") as file:
        file.write(b"\xfa\x90" * 200)
        file.seek(512)
        file.write(b"core.img" * 1000)  # the MBR gap
    ext4(path, 1 * MIB, 40 * MIB, content)
    ext4(path, 42 * MIB, 24 * MIB, content)
    return path


def insert(disk: Path, offset: int, part: Path) -> None:
    with disk.open("r+b") as file:
        file.seek(offset)
        file.write(part.read_bytes())


def described(node: str | Path, sector_size: int = 512, **identity: object) -> Disk:
    """Return the disk as an inspection would describe it."""
    with Path(node).open("rb") as file:
        size = file.seek(0, os.SEEK_END)
    values = {"wwn": "", "serial": "", "path": "test", "size": size, **identity}
    return Disk(
        identity=DiskIdentity(**values),  # type: ignore[arg-type]
        node=str(node),
        model="",
        sector_size=sector_size,
        table="",
        removable=False,
        read_only=False,
    )


@contextmanager
def loop(path: Path, *options: str) -> Iterator[str]:
    """Show a file as a block device; partitions are added by hand, the kernel may lack parsers."""
    node = run("losetup", "--find", "--show", *options, path).strip()
    try:
        yield node
    finally:
        subprocess.run(["losetup", "--detach", node], check=True)


class MemoryStore:
    """A chunk sink and source that keeps frames in memory."""

    def __init__(self) -> None:
        self.frames: dict[str, bytes] = {}
        self.asked = 0
        self.puts: list[str] = []
        self.gets: list[str] = []

    def missing(self, digests: Sequence[str]) -> frozenset[str]:
        self.asked += 1
        return frozenset(digests) - self.frames.keys()

    def put(self, digest: str, frame: bytes) -> None:
        self.puts.append(digest)
        self.frames[digest] = frame

    def get(self, digest: str, *, checked: bool = False) -> bytes:
        self.gets.append(digest)
        if checked:
            unpack(self.frames[digest], digest)
        return self.frames[digest]


def ignore(_done: int, _total: int) -> None:
    """A progress that nobody looks at."""
