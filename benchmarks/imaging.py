"""Capture and restore beside partclone and zstd, and daily captures beside restic and borg.

    make bench NAME=imaging                        # as root: 4 GiB of this system, half an hour
    make bench NAME=imaging ARGUMENTS="--gib 1 --rounds 3 --days 0"

The disk is a loop device with one ext4 file system that holds files of this system. In each
round all ways take their turn with a cold page cache, as processes of their own: capture; capture
after 1 % of the bytes changed; restore to an empty disk; restore over a disk that differs in 1 %
of its used blocks of 4 KiB. Chunks go to and come from a store on the same computer. restic and
borg are left out where they are not installed. It prints a table and writes
benchmarks/out/imaging.json.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from shutil import rmtree, which
from statistics import median
from tempfile import TemporaryDirectory, TemporaryFile
from time import perf_counter
from typing import Any

import click
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from agent.imaging import manifest as manifest_format
from agent.imaging.capture import capture
from agent.imaging.chunk import Span, digest_of, spans
from agent.imaging.device import Buffers, Device, load, open_device
from agent.imaging.flow import flow
from agent.imaging.restore import restore
from agent.imaging.scan import scan
from agent.wire.disk import Disk, DiskIdentity
from providers.imaging.store import ChunkStore

OUT = Path(__file__).parents[1] / "benchmarks/out/imaging.json"
GIB = 1 << 30
SOURCES = ("/usr", "/var/lib/dpkg", "/var/cache", "/opt", "/root")
BLOCK = 4096
EVERY = 100
"""One of so many bytes or blocks changes."""


class Turn:
    """What one process took. Seconds, processor seconds, KiB; ``said`` is its last line."""

    def __init__(self, argv: list[str]) -> None:
        subprocess.run(["sync"], check=True)
        Path("/proc/sys/vm/drop_caches").write_text("3", "ascii")
        began = perf_counter()
        with TemporaryFile("w+") as output:
            process = subprocess.Popen(argv, stdout=output)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            lines = output.read().splitlines()
        if process.returncode:
            sys.exit(f"{shlex.join(argv)} ended with {process.returncode}")
        self.seconds = perf_counter() - began
        self.processor = usage.ru_utime + usage.ru_stime
        self.memory = usage.ru_maxrss
        self.said: dict[str, Any] = json.loads(lines[-1]) if lines else {}


def ours(*words: str | Path) -> Turn:
    """Run one of the measured functions in a process of its own."""
    return Turn([sys.executable, __file__, "measured", *map(str, words)])


def shell(command: str) -> Turn:
    """Run a pipeline."""
    return Turn(["bash", "-o", "pipefail", "-c", command])


# --- what is measured ---------------------------------------------------------------------


def described(node: str) -> Disk:
    """Return a disk as an inspection would describe it."""
    with Path(node).open("rb") as file:
        size = file.seek(0, os.SEEK_END)
    identity = DiskIdentity(wwn="", serial="", path="benchmark", size=size)
    return Disk(
        identity=identity,
        node=node,
        model="",
        sector_size=512,
        table="",
        removable=False,
        read_only=False,
    )


def nothing(_done: int, _total: int) -> None:
    """Show no progress."""


class CountingStore:
    """A chunk store that counts what it is sent."""

    def __init__(self, store: ChunkStore) -> None:
        self.missing = store.missing
        self._put = store.put
        self.sent = 0

    def put(self, digest: str, frame: bytes) -> None:
        """Store a frame."""
        self.sent += len(frame)
        self._put(digest, frame)


def measured_capture(node: str, store: str) -> dict[str, int]:
    """Capture the disk into a store, under the name ``disk``."""
    chunks = ChunkStore(Path(store), reserve=0)
    sink = CountingStore(chunks)
    image = capture(described(node), sink, nothing)
    chunks.names.tag("disk", chunks.put_manifest(manifest_format.encode(image)))
    return {"sent": sink.sent, "used": image.used_bytes}


def measured_restore(node: str, store: str) -> dict[str, int]:
    """Restore the image that is called ``disk``, with its read-back."""
    chunks = ChunkStore(Path(store), reserve=0)
    image = manifest_format.decode(chunks.get_manifest(chunks.names.resolve("disk")))
    done = restore(image, described(node), chunks, nothing)
    return {"written": done.bytes_written, "fetched": done.bytes_fetched}


def measured_limit(node: str) -> dict[str, int]:
    """Read and hash what is used once: no capture can be faster."""
    with open_device(node, sector_size=512) as device:
        found = scan(device)
        work = partial(_hashed, device, Buffers())
        with closing(flow(work, spans(found.used, device.size))) as lengths:
            return {"used": sum(lengths)}


def _hashed(device: Device, buffers: Buffers, span: Span) -> int:
    with buffers.lent() as buffer:
        digest_of(load(device, span, buffer))
    return span.used


MEASURED: dict[str, Callable[..., dict[str, int]]] = {
    "capture": measured_capture,
    "restore": measured_restore,
    "limit": measured_limit,
}


# --- disks --------------------------------------------------------------------------------


@contextmanager
def loop(path: Path) -> Iterator[str]:
    """Show a file as a block device that passes the page cache by, as a disk would be read."""
    command = ["losetup", "--find", "--show", "--direct-io=on", str(path)]
    node = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield node
    finally:
        subprocess.run(["losetup", "--detach", node], check=True)


@contextmanager
def mounted(node: str, folder: Path) -> Iterator[Path]:
    """Mount the file system."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", node, str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def blank(path: Path, size: int) -> Path:
    """Make a sparse file."""
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
    return path


def fill(folder: Path, wanted: int) -> None:
    """Copy files of this system until so many bytes are used."""
    for source in SOURCES:
        for top in sorted(Path(source).iterdir()) if Path(source).is_dir() else ():
            usage = os.statvfs(folder)
            if (usage.f_blocks - usage.f_bfree) * usage.f_frsize >= wanted:
                return
            place = folder / source.lstrip("/")
            place.mkdir(parents=True, exist_ok=True)
            subprocess.run(
                ["cp", "--archive", "--one-file-system", str(top), str(place)], check=True
            )


def change(folder: Path, random: Random) -> None:
    """Write files anew that have one of so many bytes, as an update does."""
    files = [each for each in folder.rglob("*") if each.is_file() and not each.is_symlink()]
    random.shuffle(files)
    left = sum(each.stat().st_size for each in files) // EVERY
    for each in files:
        size = each.stat().st_size
        if left <= 0:
            return
        if 0 < size <= left:
            each.write_bytes(random.randbytes(size))
            left -= size


def scatter(node: str, random: Random) -> int:
    """Change one of so many used blocks of a restored disk; return how many bytes that are."""
    with open_device(node, sector_size=512) as device:
        used = [each for each in scan(device).used if each.length >= BLOCK]
    changed = 0
    descriptor = os.open(node, os.O_WRONLY)
    try:
        for extent in used:
            for offset in range(extent.offset, extent.end - BLOCK + 1, BLOCK):
                if offset >= GIB // 16 and random.randrange(EVERY) == 0:
                    os.pwrite(descriptor, random.randbytes(BLOCK), offset)
                    changed += BLOCK
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return changed


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


# --- rounds -------------------------------------------------------------------------------


class Rounds:
    """The seconds of each way, round by round, and what else is worth knowing."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self.facts: dict[str, Any] = {}

    def took(self, way: str, turn: Turn) -> Turn:
        """Keep a turn."""
        self.seconds.setdefault(way, []).append(round(turn.seconds, 2))
        self.facts[f"{way}: processor"] = round(turn.processor, 1)
        self.facts[f"{way}: MiB"] = turn.memory // 1024
        self.facts |= {f"{way}: {key}": value for key, value in turn.said.items()}
        return turn

    def ratio(self, way: str, other: str) -> str:
        """Return how many times faster one way was than another, with the spread."""
        pairs = zip(self.seconds[way], self.seconds[other], strict=True)
        ratios = sorted(theirs / own for own, theirs in pairs)
        return f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def one_round(folder: Path, disk: Path, rounds: Rounds, random: Random) -> None:
    """Let every way take its turn once."""
    packed, store, target = folder / "packed.zst", folder / "store", folder / "target"
    rmtree(store, ignore_errors=True)
    with loop(disk) as node:
        rounds.took(
            "capture, partclone and zstd",
            shell(
                f"partclone.ext4 --clone --source {node} --output - --logfile /dev/null 2>/dev/null"
                f" | zstd -1 -T2 --quiet --force -o {packed}"
            ),
        )
        rounds.took("capture", ours("capture", node, store))
        rounds.facts["stored, partclone and zstd"] = size_of(packed)
        rounds.facts["stored"] = size_of(store)
        with loop(blank(target, disk.stat().st_size)) as other:
            rounds.took(
                "restore, partclone and zstd",
                shell(
                    f"zstd --decompress --stdout {packed} | partclone.restore --source -"
                    f" --output {other} --logfile /dev/null 2>/dev/null && sync {other}"
                ),
            )
        with loop(blank(target, disk.stat().st_size)) as other:
            rounds.took("restore", ours("restore", other, store))
            rounds.facts["scattered bytes"] = scatter(other, random)
            rounds.took("restore over 1 %", ours("restore", other, store))
        with mounted(node, folder / "mounted") as files:
            change(files, random)
        rounds.took("read and hash", ours("limit", node))
        rounds.took("capture after 1 %", ours("capture", node, store))


def daily(folder: Path, disk: Path, days: int, random: Random) -> dict[str, int]:
    """Capture the disk on so many days; return the size of each repository."""
    store = folder / "days"
    ways: dict[str, Callable[[str], Turn]] = {"ours": lambda node: ours("capture", node, store)}
    places = {"ours": store}
    if which("restic"):
        places["restic"] = folder / "restic"
        secret = f"RESTIC_PASSWORD=benchmark restic --quiet --no-cache --repo {folder / 'restic'}"
        shell(f"{secret} init")
        # It does not read devices: the disk's bytes come through a pipe.
        ways["restic"] = lambda node: shell(f"{secret} backup --stdin < {node}")
    if which("borg"):
        places["borg"] = folder / "borg"
        borg = folder / "borg"
        shell(f"borg init --encryption none {borg}")
        ways["borg"] = lambda node: shell(
            f"borg create --compression zstd,1 --read-special {borg}::'{{utcnow}}' {node}"
        )
    for day in range(days):
        with loop(disk) as node:
            if day:
                with mounted(node, folder / "mounted") as files:
                    change(files, random)
            for way in ways.values():
                way(node)
    return {name: size_of(place) for name, place in places.items()}


def shown(rounds: Rounds) -> Table:
    """Return the table that people read."""
    table = Table("way", "seconds", "least", "most", "beside its peer")
    peers = {
        "capture": "capture, partclone and zstd",
        "restore": "restore, partclone and zstd",
        "capture after 1 %": "read and hash",
        "restore over 1 %": "restore",
    }
    for way, seconds in rounds.seconds.items():
        beside = rounds.ratio(way, peers[way]) + f" of {peers[way]}" if way in peers else ""
        table.add_row(
            way, f"{median(seconds):.1f}", f"{min(seconds):.1f}", f"{max(seconds):.1f}", beside
        )
    return table


@click.group(invoke_without_command=True)
@click.option("--gib", default=4.0, help="How much the file system holds.")
@click.option("--rounds", "count", default=5)
@click.option("--days", default=10, help="Daily captures beside restic and borg; 0 for none.")
@click.option("--folder", type=click.Path(path_type=Path), default=None, help="Where disks lie.")
@click.pass_context
def main(context: click.Context, gib: float, count: int, days: int, folder: Path | None) -> None:
    """Measure and print."""
    if context.invoked_subcommand:
        return
    random, rounds = Random(1), Rounds()  # noqa: S311 - the same changes every time
    with TemporaryDirectory(dir=folder) as name:
        place = Path(name)
        disk = blank(place / "disk", int(gib * 1.5 * GIB))
        with loop(disk) as node:
            subprocess.run(["mkfs.ext4", "-q", "-F", node], check=True)
            with mounted(node, place / "mounted") as files:
                fill(files, int(gib * GIB))
        for number in range(count):
            print(f"round {number + 1} of {count}", flush=True)
            one_round(place, disk, rounds, random)
        sizes = daily(place, disk, days, random) if days else {}
    Console().print(shown(rounds))
    facts = {**rounds.facts, **{f"{days} days, {name}": size for name, size in sizes.items()}}
    for name, value in facts.items():
        print(f"{name}: {value:,}")
    OUT.parent.mkdir(exist_ok=True)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    OUT.write_text(json.dumps({"at": at, "seconds": rounds.seconds, **facts}, indent=1), "utf-8")


@main.command("measured", hidden=True)
@click.argument("name", type=click.Choice(sorted(MEASURED)))
@click.argument("arguments", nargs=-1)
def measured(name: str, arguments: tuple[str, ...]) -> None:
    """Run one measured function and print what it found."""
    print(json.dumps(MEASURED[name](*arguments)))


if __name__ == "__main__":
    main()
