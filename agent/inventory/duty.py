"""When an inventory is taken and sent: after the start, every hour, after packages changed.

It is done by a thread of its own that works, as do the programs that it starts, with a low
priority: work for the server is neither delayed nor slowed down.
"""

import logging
import os
import threading
from collections.abc import Callable

from attrs import frozen

from agent.clock import Clock
from agent.errors import CodedError
from agent.inventory.collector import Collector, gather
from agent.inventory.kept_inventory import KeptInventory
from agent.transport import Transport
from agent.wire.codec import WireError, decode
from agent.wire.inventory import Inventory, InventoryAnswer, InventoryReport, pack
from agent.wire.inventory_changes import changes_since

_log = logging.getLogger(__name__)

INTERVAL = 3600.0
"""Seconds between two inventories."""
_SPREAD = 0.1
"""Part of the interval by which it varies, so that a fleet that started at once spreads out."""
_FIRST_WITHIN = 60.0
"""Seconds after the start within which the first is taken, likewise."""
_AFTER_CHANGE = 30.0
"""Seconds without a change of packages: an upgrade writes its database hundreds of times."""
_AFTER_FAILURE = 300.0
_NICE = 10
_NOTHING: Inventory = {}

Send = Callable[[InventoryReport], str]
"""Sends a message; returns the digest of what the server has then, empty if it asks for all."""


@frozen
class InventoryChannel:
    """``POST /v1/inventory``; raises as ``Transport.send``."""

    transport: Transport

    def __call__(self, report: InventoryReport) -> str:
        """Send a message and return the digest of the inventory that the server has then."""
        answer = self.transport.send(
            "POST", "/v1/inventory", pack(report), content_type="application/gzip"
        )
        try:
            return decode(InventoryAnswer, answer).digest
        except WireError:
            return ""


def send_inventory(inventory: Inventory, kept: KeptInventory, send: Send) -> bool:
    """Bring an inventory to the server by what changed, or whole; return whether it has it.

    What the server acknowledged is kept before this returns. Raises what ``send`` raises, and
    UnwritableFileError RW572.
    """
    for before in (kept.read(), _NOTHING):
        report = changes_since(before, inventory)
        if send(report) == report.digest:
            if report.changes:
                kept.write(inventory)
            return True
        if not before:
            break
    return False


class InventoryDuty:
    """Takes and sends an inventory whenever it is due (``agent.duties.Duty``)."""

    def __init__(self, collector: Collector, kept: KeptInventory, send: Send, clock: Clock) -> None:
        self._collector = collector
        self._kept = kept
        self._send = send
        self._clock = clock
        self._due = clock.monotonic() + clock.chance() * _FIRST_WITHIN
        self._state: tuple[object, ...] | None = None
        """Of the packages, as the last turn found it."""
        self._thread: threading.Thread | None = None

    def turn(self) -> None:
        """Begin an inventory if one is due and none is under way."""
        now = self._clock.monotonic()
        state = self._collector.state()
        if self._state is not None and state != self._state:
            self._due = min(self._due, now + _AFTER_CHANGE)
        self._state = state
        if now < self._due or (self._thread is not None and self._thread.is_alive()):
            return
        self._due = now + INTERVAL * (1 - _SPREAD * self._clock.chance())
        self._thread = threading.Thread(target=self._work, name="inventory", daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for what is under way."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _work(self) -> None:
        _be_nice()
        try:
            if not send_inventory(gather(self._collector), self._kept, self._send):
                _log.warning("the server does not take the inventory")
        except CodedError as error:
            _log.warning("no inventory: %s", error)
            self._due = min(self._due, self._clock.monotonic() + _AFTER_FAILURE)


def _be_nice() -> None:
    """Lower the priority of this thread, which its programs inherit (setpriority(2), Linux)."""
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
