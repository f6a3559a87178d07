"""The evidence of a run: what the machine itself has to say, on the server before it is gone.

While an attempt runs, its log and the kernel's are sent every minute, and everything once more
before its end is told. All of it is done by a thread of its own and waited for only briefly:
work is never delayed by much, and never fails because of it. What could not be sent is kept in
memory, and sent when the next attempt begins or ends.
"""

import json
import logging
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from attrs import asdict, field, frozen

from agent.clock import Clock
from agent.errors import CodedError, TransientError, one_line
from agent.inspection.host_paths import read_line
from agent.inspection.installed_system import parse_os_release
from agent.inspection.records import KernelRecords, MachineRecords
from agent.log import LogMemory
from agent.machine import LocalMachine
from agent.version import AGENT_VERSION
from agent.wire.disk import Disk
from agent.wire.evidence import MOST_TEXT, EvidenceName
from agent.wire.step import ApplyIdentity
from agent.wire.work import Work

_log = logging.getLogger(__name__)

Send = Callable[[str, int, EvidenceName, bytes], None]
"""``WorkChannel.evidence``: operation, attempt, name, compressed text."""

_Key = tuple[str, int, EvidenceName]
_INTERVAL = 60.0
_LAST_SECONDS = 10.0
_MOST_UNSENT = 20
_RELEASE = "usr/lib/rackwright/release"
_ON_COMMAND_LINE = re.compile(r"(rackwright\.(?:token|pin)=)\S+")
_REDACTED = "[redacted]"
_SHORTEST_SECRET = 8


@frozen
class EvidenceSources:
    """Where the evidence of this machine comes from; ``secrets`` never leave it."""

    records: MachineRecords = field(factory=KernelRecords)
    log: LogMemory = field(factory=LogMemory)
    secrets: tuple[str, ...] = field(default=(), repr=False)


class Evidence:
    """Collects and sends the evidence of one attempt after another."""

    def __init__(
        self, sources: EvidenceSources, machine: LocalMachine, send: Send, clock: Clock
    ) -> None:
        self._sources = sources
        self._machine = machine
        self._send = send
        self._clock = clock
        self._secrets = frozenset(sources.secrets)
        self._unsent: dict[_Key, bytes] = {}
        self._sent: dict[_Key, bytes] = {}
        """What was sent last of the present attempt."""
        self._sending = threading.Lock()
        self._run: _Run | None = None

    def begin(self, work: Work, disks: Sequence[Disk] | None) -> None:
        """Begin with an attempt, whose machine had these disks just before; None: not known."""
        steps = [step for step in work.steps if isinstance(step, ApplyIdentity)]
        self._secrets |= {secret for step in steps for secret in (step.agent_token, step.pin)}
        self._sent.clear()
        self._run = _Run(self, work, disks)
        self._run.start()

    def finish(self, outcome: str, *, looks_at_disks: bool) -> None:
        """Send everything once more, and wait for that for some seconds at most.

        ``outcome`` is one line. Without ``looks_at_disks`` they are left alone: a step may
        still be at work on them.
        """
        if self._run is not None:
            self._run.finish(outcome, looks_at_disks=looks_at_disks)
            self._run = None

    def left_behind(self, operation: str, attempt: int, outcome: str) -> None:
        """Send what there is of an attempt that an earlier process of this agent began."""
        self.begin(Work(operation, attempt, ()), None)
        self.finish(outcome, looks_at_disks=True)

    def close(self) -> None:
        """Send nothing more of an attempt that was not finished: the machine is gone."""
        if self._run is not None:
            self._run.stop()

    # --- for the run's thread ----------------------------------------------------

    def text(
        self, name: EvidenceName, work: Work, before: Sequence[Disk] | None, outcome: str
    ) -> str:
        """Return a text as it is now; ``outcome`` is empty while the attempt goes on."""
        if name == "agent":
            return self._sources.log.text()
        if name == "dmesg":
            return self._sources.records.kernel_log()
        if name == "system":
            return self._system(work, outcome)
        if name == "disks":
            return disks_text(before, self._machine.disks().disks if outcome else None)
        disks = self._machine.disks().disks if before is None else before
        return self._sources.records.disk_health(disks)

    def keep(self, work: Work, name: EvidenceName, text: str) -> None:
        """Take a text in, without secrets and bounded, to be sent."""
        # Compiled code that only the RAM system has.
        from agent.imaging.packed_text import pack  # noqa: PLC0415

        packed = pack(bounded(redacted(text, self._secrets).encode("utf-8", "replace")))
        with self._sending:
            key = (work.operation, work.attempt, name)
            if self._sent.get(key) == packed:
                return
            self._unsent.pop(key, None)
            self._unsent[key] = packed
            while len(self._unsent) > _MOST_UNSENT:
                del self._unsent[next(iter(self._unsent))]

    def send_all(self) -> None:
        """Send what waits, the oldest first, until the server is away."""
        with self._sending:
            for key, packed in list(self._unsent.items()):
                try:
                    self._send(*key, packed)
                    self._sent[key] = packed
                except TransientError as error:
                    _log.debug("evidence not sent yet: %s", error.cause)
                    return
                except CodedError as error:
                    _log.info("evidence not taken: %s", error.cause)
                del self._unsent[key]

    def _system(self, work: Work, outcome: str) -> str:
        paths = self._machine.paths
        release = parse_os_release(_text(paths.root / _RELEASE))
        said = {
            "operation": work.operation,
            "attempt": work.attempt,
            "steps": [step.STEP_TYPE for step in work.steps],
            "outcome": outcome or "under way",
            "agent": AGENT_VERSION,
            "deployOs": release.get("VERSION", ""),
            "kernel": read_line(paths.proc / "sys/kernel/osrelease"),
            "bootId": read_line(paths.proc / "sys/kernel/random/boot_id"),
            "uptime": read_line(paths.proc / "uptime").partition(" ")[0],
            "hardware": asdict(self._machine.hardware()),
        }
        return json.dumps(said, indent=2) + "\n"


class _Run:
    """The thread that sends the evidence of one attempt."""

    def __init__(self, evidence: Evidence, work: Work, disks: Sequence[Disk] | None) -> None:
        self._evidence = evidence
        self._work = work
        self._disks = disks
        self._ends = threading.Event()
        self._outcome = ""
        self._last: tuple[EvidenceName, ...] = ()
        self._thread = threading.Thread(
            target=self._live, name=f"{threading.current_thread().name} evidence", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def finish(self, outcome: str, *, looks_at_disks: bool) -> None:
        # What hangs least comes first.
        disks: tuple[EvidenceName, ...] = ("disks",) if looks_at_disks else ()
        self._last = ("agent", "dmesg", "system", *disks, "smart")
        self._outcome = outcome
        self._ends.set()
        self._thread.join(_LAST_SECONDS)

    def _live(self) -> None:
        self._collect(("agent", "dmesg", "system", "disks"), "")
        while not self._ends.wait(_INTERVAL):
            self._collect(("agent", "dmesg"), "")
        self._collect(self._last, self._outcome)

    def stop(self) -> None:
        self._ends.set()

    def _collect(self, names: Iterable[EvidenceName], outcome: str) -> None:
        """Send each text as soon as it is there; whatever goes wrong concerns nothing else."""
        for name in names:
            if self._ends.is_set() and not outcome:
                return  # the end has come meanwhile, and sends all of it
            try:
                text = self._evidence.text(name, self._work, self._disks, outcome)
                self._evidence.keep(self._work, name, text)
                self._evidence.send_all()
            except Exception as error:  # noqa: BLE001 - the work goes on without it
                _log.warning("no evidence %s: %s", name, one_line(error))


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return the text without these secrets, and without those of a kernel command line."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, _REDACTED)
    return _ON_COMMAND_LINE.sub(rf"\1{_REDACTED}", text)


def bounded(text: bytes, most: int = MOST_TEXT) -> bytes:
    """Return the text, or its beginning and its end with a mark between them."""
    if len(text) <= most:
        return text
    mark = b"\n[... %d bytes left out here ...]\n"
    room = most - len(mark % len(text))
    first = text[: room // 4].rpartition(b"\n")[0] or text[: room // 4]
    last = text[-(room - room // 4) :]
    last = last.partition(b"\n")[2] or last
    return first + mark % (len(text) - len(first) - len(last)) + last


def disks_text(before: Sequence[Disk] | None, after: Sequence[Disk] | None) -> str:
    """Return what the disks held before the first step and after the last, as far as known."""
    parts = ["before the first step", *(["  not known"] if before is None else _lines(before))]
    if after is not None:
        parts += ["after the last step", *_lines(after)]
    return "".join(f"{line}\n" for line in parts)


def _lines(disks: Sequence[Disk]) -> Iterable[str]:
    for disk in disks:
        identity = disk.identity
        words = [disk.node, disk.model, f"{identity.size} bytes", disk.holds]
        for name in ("serial", "wwn", "path"):
            value = getattr(identity, name)
            words += [f"{name} {value}"] if value else []
        yield "  " + ", ".join(word for word in words if word)
        for part in disk.partitions:
            label = f' "{part.label}"' if part.label else ""
            yield (
                f"    partition {part.number}: from {part.start}, {part.size} bytes, "
                f"{part.content}{label}, type {part.type}, uuid {part.uuid}"
            )
    if not disks:
        yield "  none"


def _text(path: Path) -> str:
    """Return a file's text; empty where there is none."""
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
