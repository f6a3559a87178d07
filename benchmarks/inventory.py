"""Inventories: what an agent takes, beside others; and what a server keeps of thousands.

    .venv/bin/python benchmarks/inventory.py [MACHINES] [--packages 2000] [--rounds 5]

Pending updates: the agent's way beside ``unattended-upgrade --dry-run`` and ``apt-get -s
dist-upgrade``, in turns, on a copy of this system's package lists and status in which some
packages are older than they are. Nothing of the system itself is changed; unattended-upgrade is
left out where it is not installed. It downloads in the first round, which is not measured.
"""

import os
import re
import subprocess
import sys
from argparse import ArgumentParser
from asyncio import run
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from resource import RUSAGE_CHILDREN, getrusage
from shutil import which
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from builders.inventories import a_large_inventory, a_package
from builders.world import a_machine

from agent.commands.apt import parse_upgradable
from agent.commands.runner import run_command
from agent.inventory.collector import gather
from agent.inventory.linux import LinuxCollector
from agent.wire.inventory import Inventory, ordered, pack
from agent.wire.inventory_changes import changes_since
from reconciler.app.inventory import parse_query
from reconciler.server.inventory import InventoryKeeper
from reconciler.state.database import open_database
from reconciler.state.inventories import Inventories
from reconciler.state.inventory_search import hardware_with, items_named
from specs.fleet import CompiledMachine

EVERY = 40
"""Four packages of so many are older in the copy, where no other wants a certain version."""
KINDS = 20
"""Images from which the machines of a fleet come; each machine has some packages of its own."""
OWN = 20
"""Packages of a machine that differ from its image's."""


def main() -> None:
    """Print all measurements."""
    parser = ArgumentParser()
    parser.add_argument("machines", type=int, nargs="?", default=2000)
    parser.add_argument("--packages", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        pending_updates(Path(folder), given.rounds)
        agent(given.packages)
        if given.machines:
            server(Path(folder), given.machines, given.packages)


def pending_updates(folder: Path, rounds: int) -> None:
    """Compare ways to find out which updates there are."""
    older = "\n\n".join(_some_older(Path("/var/lib/dpkg/status").read_text("utf-8")))
    (folder / "status").write_text(older, "utf-8")
    for name in ("updates", "partial"):  # what dpkg and apt have beside these
        (folder / name).mkdir()
    configuration = folder / "apt.conf"
    configuration.write_text(
        f'Dir::State::status "{folder / "status"}";\n'
        f'Dir::Etc::parts "{folder / "partial"}";\n'  # images of containers switch caches off there
        f'Dir::Cache::pkgcache "{folder / "pkgcache.bin"}";\n'
        f'Dir::Cache::srcpkgcache "{folder / "srcpkgcache.bin"}";\n'
        f'Dir::Cache::archives "{folder}";\n'
        "Debug::NoLocking true;\n"
        'Unattended-Upgrade::Origins-Pattern { "origin=*"; };\n'
    )
    os.environ["APT_CONFIG"] = str(configuration)
    ways: dict[str, Callable[[], None]] = {
        "agent (apt list --upgradable)": _own,
        "apt-get -s dist-upgrade": _program("apt-get", "-s", "dist-upgrade"),
    }
    if which("unattended-upgrade"):
        ways["unattended-upgrade --dry-run"] = _program("unattended-upgrade", "--dry-run")
    clocks = {"seconds": perf_counter, "processor seconds": _children_seconds}
    times = {name: {what: list[float]() for what in clocks} for name in ways}
    for way in ways.values():
        way()  # the first makes apt's cache, which all use; unattended-upgrade downloads
    for _ in range(rounds):
        for name, way in ways.items():
            began = {what: clock() for what, clock in clocks.items()}
            way()
            for what, clock in clocks.items():
                times[name][what].append(clock() - began[what])
    own = times[next(iter(ways))]
    print(f"pending updates, {len(_upgradable())} of them, {rounds} rounds in turns:")
    for what in clocks:
        for name in ways:
            found = times[name][what]
            ratios = [theirs / ours for ours, theirs in zip(own[what], found, strict=True)]
            print(
                f"  {name:30} {median(found):6.2f} {what} ({min(found):.2f} to {max(found):.2f}), "
                f"times the agent's {median(ratios):4.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
            )
    del os.environ["APT_CONFIG"]


def _some_older(status: str) -> Iterator[str]:
    """Yield dpkg's entries, those of some packages with a version that is a little older.

    They are packages of which no other wants a certain version: apt refuses to work where
    dependencies are not met.
    """
    wanted = set(re.findall(r"([a-z0-9][a-z0-9+.-]+)(?::\w+)? \([<>=]", status))
    for number, entry in enumerate(status.strip().split("\n\n")):
        name = entry.partition("\n")[0].removeprefix("Package: ")
        is_chosen = name not in wanted and number % EVERY < EVERY // 10
        yield re.sub(r"(?m)^(Version: .*)$", r"\1~", entry) if is_chosen else entry


def _children_seconds() -> float:
    """Return the processor seconds of programs that have ended: what a loaded host leaves alone."""
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _upgradable() -> list[object]:
    done = run_command(
        ["apt", "list", "--upgradable"], environment={"APT_CONFIG": os.environ["APT_CONFIG"]}
    )
    return list(parse_upgradable(done.stdout.decode()))


def _own() -> None:
    _upgradable()


def _program(*argv: str) -> Callable[[], None]:
    """Return what runs a program to its end; only ones that change nothing are meant."""
    environment = {**os.environ, "LC_ALL": "C"}

    def way() -> None:
        subprocess.run(argv, env=environment, capture_output=True, check=True)

    return way


def agent(packages: int) -> None:
    """Measure what an agent does for an inventory of this system, and of a large one."""
    collector = LinuxCollector()
    for name, read in collector.sections().items():
        began = perf_counter()
        count = len(gather(_One(name, read)).get(name, ()))
        print(f"  {name:10} {count:5} entries, {perf_counter() - began:6.3f} s")
    before = a_large_inventory(packages)
    began = perf_counter()
    size = len(pack(changes_since({}, before)))
    took = perf_counter() - began
    newer = a_package(str(before["packages"][0].name), "99-1")  # type: ignore[union-attr]
    after = {**before, "packages": ordered("packages", [*before["packages"][1:], newer])}
    small = len(pack(changes_since(before, after)))
    print(f"  message of {packages} packages: {size:,} bytes, {took * 1000:.0f} ms; ", end="")
    print(f"of one that changed: {small:,} bytes", flush=True)


class _One:
    """One section only."""

    def __init__(self, name: str, read: Callable[[], object]) -> None:
        self._found = {name: read}

    def sections(self) -> dict[str, Callable[[], object]]:
        """Return it."""
        return self._found

    def state(self) -> tuple[object, ...]:
        """Return nothing that changes."""
        return ()


def server(folder: Path, count: int, packages: int) -> None:
    """Measure taking in, the size of the database and searches."""
    database = open_database(folder / "rackwright.db")
    inventories = Inventories(database)
    keeper = InventoryKeeper(inventories, lambda: datetime.now(UTC))
    kinds = [a_large_inventory(packages, seed) for seed in range(KINDS)]
    took, changed, same = [], [], []

    async def fill() -> None:
        for number in range(count):
            machine, inventory = _machine(number), _varied(kinds[number % KINDS], number)
            took.append(await _timed(keeper, machine, changes_since({}, inventory)))
            if number % 10 == 0:
                newer = [*inventory["packages"][1:], a_package(f"new{number % 50}")]
                after = {**inventory, "packages": ordered("packages", newer)}
                changed.append(await _timed(keeper, machine, changes_since(inventory, after)))
                same.append(await _timed(keeper, machine, changes_since(after, after)))

    run(fill())
    size = sum(each.stat().st_size for each in folder.glob("rackwright.db*"))
    print(f"server, {count} machines with {packages} packages:")
    for name, times in (("first", took), ("change", changed), ("no change", same)):
        print(f"  {name:10} median {median(times) * 1000:6.1f} ms, most {max(times) * 1000:.0f} ms")
    print(f"  database {size / 2**20:.1f} MiB, {size / count / 2**10:.1f} KiB a machine")
    for query in (f"{kinds[0]['packages'][7].name} < 99", "lib*"):  # type: ignore[union-attr]
        wanted = parse_query(query)
        began = perf_counter()
        items = {
            each.item_id: each
            for each in items_named(database, wanted.pattern)
            if wanted.matches(each)
        }
        read = perf_counter() - began
        found = sum(1 for _ in hardware_with(database, items))
        print(
            f"  search {query}: {len(items):,} versions in {read:.2f} s, "
            f"{found:,} machines in {perf_counter() - began - read:.2f} s more"
        )
    began = perf_counter()
    print(f"  unused items {len(inventories.unused())} in {perf_counter() - began:.2f} s")
    database.close()


async def _timed(keeper: InventoryKeeper, machine: CompiledMachine, report: object) -> float:
    body = pack(report)  # type: ignore[arg-type]
    began = perf_counter()
    assert await keeper.take(machine, body)  # noqa: S101 - else nothing was measured
    return perf_counter() - began


def _machine(number: int) -> CompiledMachine:
    uuid = f"77000000-0000-4000-8000-{number:012x}"
    mac = ":".join(["52", "54", *(f"{number:08x}"[at : at + 2] for at in range(0, 8, 2))])
    return replace(a_machine(1), name=f"node-{number:05}", uuid=uuid, macs=(mac,))


def _varied(image: Inventory, number: int) -> Inventory:
    """Return an image's inventory with some packages in other versions, as time brings them."""
    chance = Random(number)  # noqa: S311 - nothing secret
    packages = list(image["packages"])
    for _ in range(OWN):
        place = chance.randrange(len(packages))
        packages[place] = a_package(str(packages[place].name), f"7.{chance.randrange(3)}-1")  # type: ignore[union-attr]
    return {**image, "packages": ordered("packages", packages)}


if __name__ == "__main__":
    main()
