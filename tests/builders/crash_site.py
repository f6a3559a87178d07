"""A rack of simulated machines whose server is killed and started again, and what must hold."""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any, NamedTuple

from builders.simulated_site import SECONDS, SimulatedSite
from providers.lab.simulate.rack import SimulatedRack
from reconciler.state.database import open_database
from reconciler.state.ledger import Ledger, LedgerEntry
from reconciler.state.operation import OperationStatus
from reconciler.state.operation_states import ACTIVE, OperationState, permits

MIB = 1 << 20
DISK = 16 * MIB
IMAGED = 14 * MIB
"""Bytes from the beginning of a disk that every clone has in common; then comes its identity."""
FAILING = [sys.executable, str(Path(__file__).with_name("failing_server.py"))]
_CLAIMED = re.compile(r"^(\S+)\s.*claimed operation=(\w+) attempt=(\d+)", re.MULTILINE)
_S = OperationState


class Restore(NamedTuple):
    """One time that a machine's agent wrote an image to its disk."""

    operation: str
    began: datetime
    ended: datetime | None


class CrashSite(SimulatedSite):
    """A server that ends and is started again, beside machines that go on."""

    def __init__(
        self, directory: Path, consoles: Path, rack: SimulatedRack, clones: int | None
    ) -> None:
        super().__init__(directory, rack, clones=clones)
        (consoles / "machines.log").symlink_to(rack.log)
        self._log = consoles / "serve.log"
        self.server: subprocess.Popen[bytes] | None = None
        self.kills = 0
        self._served = 0
        """How often a server had begun to serve before the present one."""

    def serve(self, *program: str) -> subprocess.Popen[bytes]:
        """Start the server; ``program`` runs the command line in its place."""
        command = self.rack.inside([*(program or self.command), "serve"])
        self._served = self._serving()
        with self._log.open("ab") as log:
            self.server = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        return self.server

    def kill(self) -> None:
        """Kill the server (SIGKILL)."""
        assert self.server is not None
        self.server.kill()
        self.server.wait()
        self.kills += 1

    def stop(self) -> None:
        """End the server in good order."""
        if self.server is not None and self.server.poll() is None:
            self.server.terminate()
            self.server.wait(SECONDS)

    def ledger(self) -> dict[str, tuple[OperationStatus, tuple[LedgerEntry, ...]]]:
        """Return all operations with their history, by id."""
        database = open_database(self.state / "rackwright.db")
        try:
            ledger = Ledger(database)
            return {
                each.operation.op_id: (each, ledger.history(each.operation.op_id))
                for each in ledger.operations()
            }
        finally:
            database.close()

    def status(self) -> Any:
        """Return what ``status`` says, whatever that is."""
        with self.start("status", "--format", "json") as process:
            said, _ = process.communicate(timeout=SECONDS)
        return json.loads(said)

    def condition(self, name: str) -> str:
        """Return the condition of one machine."""
        conditions = {each["machine"]: each["condition"] for each in self.status()["machines"]}
        return str(conditions[name])

    def claims(self) -> Counter[tuple[str, int]]:
        """Return how often each attempt was begun, as the agents tell it."""
        said = _CLAIMED.findall(self.rack.log.read_text("utf-8", "replace"))
        return Counter((operation, int(attempt)) for _, operation, attempt in said)

    def restores(self, name: str) -> tuple[Restore, ...]:
        """Return what was written to a machine's disk, in its order, as the machine tells it."""
        log = self.rack.path / "machines" / name / "restores.log"
        found: list[Restore] = []
        for line in log.read_text().splitlines() if log.exists() else ():
            seconds, operation, what = line.split()
            at = datetime.fromtimestamp(float(seconds), UTC)
            if what == "began":
                found.append(Restore(operation, at, None))
            else:
                found[-1] = found[-1]._replace(ended=at)
        return tuple(found)

    def work_on(
        self, done: Callable[[], bool], *program: str, seconds: float = 10 * SECONDS
    ) -> None:
        """Start the server again whenever it has ended, until something is done."""
        end, pause = monotonic() + seconds, Event()
        while self.server is None or not done():
            if self.server is not None and self.server.poll() is not None:
                self.kills += 1
            if self.server is None or self.server.poll() is not None:
                self.serve(*program)
                self.until_served()
            assert monotonic() < end, f"it did not happen: {self.rack.machines}"
            self.start_stranded()
            self.approve_when_idle()
            pause.wait(0.2)

    def approve_when_idle(self) -> None:
        """Approve what overwrites no disk, where a server serves and has nothing to do.

        Whatever becomes of it, the server may be killed meanwhile.
        """
        runs = self.server is not None and self.server.poll() is None
        # Before it serves it takes the revision over, which approving would do in its stead.
        if runs and self._serving() > self._served and not self._under_way():
            with self.start("approve", "--yes", "--reason", "a look") as process:
                process.communicate(timeout=SECONDS)

    def _under_way(self) -> bool:
        return any(status.state in ACTIVE for status, _ in self.ledger().values())

    def until_served(self) -> None:
        """Return once the server that was started last serves, or has ended."""
        assert self.server is not None
        server = self.server
        self.until(lambda: server.poll() is not None or self._serving() > self._served)

    def _serving(self) -> int:
        return self._log.read_bytes().count(b"network boot serves") if self._log.exists() else 0

    def start_stranded(self) -> None:
        """Do what a person does with a machine that started from its disk while nobody answered."""
        if not (self.state / "rackwright.db").exists():
            return
        armed = {
            status.operation.machine
            for status, _ in self.ledger().values()
            if status.state is _S.ARMED
        }
        for name, machine in self.rack.machines.items():
            if name in armed and machine.stage == "system without agent":
                self.rack.power_off(name)
                self.rack.power_on(name)


def broken_promises(site: CrashSite) -> list[str]:
    """Return what happened twice, was lost, or is called a success and is none."""
    ledger, golden = site.ledger(), site.rack.disk("golden").read_bytes()[:IMAGED]
    found = [
        f"attempt {attempt} of {op_id} was begun {times} times"
        for (op_id, attempt), times in site.claims().items()
        if times > 1
    ]
    for op_id, (_, history) in ledger.items():
        found += _bad_history(op_id, history)
    done = Counter(
        (each.operation.machine, each.operation.scenario, each.operation.run)
        for each, _ in ledger.values()
        if each.operation.destructive and each.state is _S.VERIFIED
    )
    found += [f"{work} was done by {times} operations" for work, times in done.items() if times > 1]
    for settings in site.rack.settings:
        found += _bad_disk(site, settings.name, ledger, golden)
    return found


def _bad_history(op_id: str, history: tuple[LedgerEntry, ...]) -> Iterator[str]:
    states = [line.state for line in history]
    for before, after in pairwise(states):
        if not permits(before, after):
            yield f"{op_id} went from {before} to {after}"
    attempts = [line.attempt for line in history if line.state is _S.STARTED]
    if len(attempts) != len(set(attempts)):
        yield f"{op_id} was started twice in one attempt: {attempts}"
    if _S.ARMED in states and _S.APPROVED not in states[: states.index(_S.ARMED)]:
        yield f"{op_id} was armed and never approved"


def _bad_disk(
    site: CrashSite,
    name: str,
    ledger: dict[str, tuple[OperationStatus, tuple[LedgerEntry, ...]]],
    golden: bytes,
) -> Iterator[str]:
    """Compare what a machine's disk went through with what the ledger says."""
    restores = site.restores(name)
    for op_id, times in Counter(each.operation for each in restores).items():
        if op_id not in ledger:
            yield f"{name} was written by {op_id}, which the ledger does not know"
            continue
        status, history = ledger[op_id]
        started = sum(line.state is _S.STARTED for line in history)
        if times > started:
            yield f"{name} was written {times} times by {op_id}, which was started {started} times"
        ends = [line.at for line in history if line.state is _S.VERIFIED]
        if any(each.operation == op_id and each.began > end for each in restores for end in ends):
            yield f"{name} was written by {op_id} after that was verified"
        if status.operation.machine != name:
            yield f"{name} was written by the work of {status.operation.machine}"
    verified = [
        each
        for each, _ in ledger.values()
        if each.operation.machine == name
        and each.operation.kind == "restore"
        and each.state is _S.VERIFIED
    ]
    last = max(verified, key=lambda each: each.at, default=None)
    if last is None:
        return
    if not any(each.operation == last.operation.op_id and each.ended for each in restores):
        yield f"{last.operation.op_id} of {name} is verified and never wrote its disk to the end"
    elif restores[-1].operation == last.operation.op_id and (
        site.rack.disk(name).read_bytes()[:IMAGED] != golden
    ):
        yield f"{last.operation.op_id} of {name} is verified, and the disk is not as the image"


@contextmanager
def crash_site(
    directory: Path, consoles: Path, count: int, *, clones: int | None = None
) -> Iterator[CrashSite]:
    """Start machines with disks of 16 MiB; the server is the caller's to start."""
    with SimulatedRack(directory / "rack", count, disk_size=DISK) as rack:
        site = CrashSite(directory, consoles, rack, clones)
        try:
            yield site
        finally:
            site.end_commands()
            site.stop()
