"""A report as the database keeps it: decoded only when its disks are asked for."""

from collections.abc import Callable
from datetime import datetime
from json import dumps, loads

from agent.wire.report import InstalledSystem, Report
from reconciler.state.observed import TimedReport


class StoredReport(TimedReport):
    """A report of which time, name and the installed system are at hand.

    The rest is what ``fetch`` returns for ``hardware`` when it is first asked for.
    Should a newer report of the same hardware have come meanwhile, it is that one.
    """

    __slots__ = ("_fetch", "_hardware", "_proved", "_system", "_whole")
    _fetch: Callable[[str], Report]
    _hardware: str
    _proved: InstalledSystem | None
    _system: str | None
    _whole: Report | None

    def __init__(
        self,
        fetch: Callable[[str], Report],
        hardware: str,
        at: datetime,
        machine: str,
        system: str | None = None,
    ) -> None:
        # A frozen class is filled past its own refusal.
        fill = object.__setattr__
        fill(self, "at", at)
        fill(self, "machine", machine)
        fill(self, "_fetch", fetch)
        fill(self, "_hardware", hardware)
        fill(self, "_system", system)
        fill(self, "_proved", None)
        fill(self, "_whole", None)

    @property
    def report(self) -> Report:
        """Return the whole report."""
        known = self._whole
        if known is None:
            known = self._fetch(self._hardware)
            object.__setattr__(self, "_whole", known)
        return known

    @property
    def installed(self) -> InstalledSystem | None:
        """Return what the agent of an installed system proves."""
        if self._proved is None and self._system is not None:
            object.__setattr__(self, "_proved", decode_installed(self._system))
        return self._proved

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TimedReport):
            return NotImplemented
        mine, theirs = ((it.at, it.machine, it.report) for it in (self, other))
        return mine == theirs

    def __hash__(self) -> int:
        return hash((self.at, self.machine))


def encode_installed(system: InstalledSystem | None) -> str | None:
    """Return the text that ``decode_installed`` reads: the planner reads it at every turn."""
    if system is None:
        return None
    return dumps(
        [
            system.hostname,
            system.machine_id,
            system.addresses,
            system.ssh_host_keys,
            system.os,
            system.kernel,
            system.operation,
        ],
        separators=(",", ":"),
    )


def decode_installed(text: str) -> InstalledSystem:
    """Return the installed system that was recorded."""
    hostname, machine_id, addresses, keys, os, kernel, operation = loads(text)
    return InstalledSystem(
        hostname, machine_id, tuple(addresses), tuple(keys), os, kernel, operation
    )
