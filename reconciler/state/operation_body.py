"""An operation as the ledger keeps it: JSON, decoded only when its steps are asked for."""

from collections.abc import Callable
from json import dumps, loads
from typing import TYPE_CHECKING, Any

from agent.wire.codec import decode, encode
from agent.wire.disk import DiskIdentity
from agent.wire.work import Work
from reconciler.state.operation import Operation

if TYPE_CHECKING:
    from agent.wire.step import Step

_TEXTS = ("op_id", "kind", "machine", "hardware", "scenario", "run", "revision", "uuid")


def encode_operation(operation: Operation) -> str:
    """Return the text that ``decode_operation`` reads."""
    return dumps(
        {
            **{name: getattr(operation, name) for name in _TEXTS},
            "macs": operation.macs,
            "work": encode(Work(operation.op_id, 0, operation.steps)).decode(),
            "disks": [encode(disk).decode() for disk in operation.disks],
            "proof": operation.proof,
            "timeout_seconds": operation.timeout_seconds,
        }
    )


def decode_operation(body: str) -> Operation:
    """Return the operation that was recorded."""
    data = loads(body)
    return Operation(
        **{name: data[name] for name in _TEXTS},
        macs=tuple(data["macs"]),
        steps=decode(Work, data["work"].encode()).steps,
        disks=tuple(decode(DiskIdentity, disk.encode()) for disk in data["disks"]),
        proof=data["proof"],
        timeout_seconds=data["timeout_seconds"],
    )


def _column(index: int) -> Any:  # noqa: ANN401 - stands for a field of any type
    return property(lambda operation: operation._row[index])  # noqa: SLF001 - its own field


class StoredOperation(Operation):
    """An operation of which only what the planner reads is at hand.

    ``row`` begins as those of ``reconciler.state.operations`` do. The rest is decoded when
    it is first asked for, from the recorded text that ``fetch`` returns for an op_id. What
    was recorded never changes, so that it does not matter when.
    """

    __slots__ = ("_fetch", "_row", "_whole")
    _fetch: Callable[[str], str]
    _row: tuple[Any, ...]
    _whole: Operation | None

    def __init__(self, fetch: Callable[[str], str], row: tuple[Any, ...]) -> None:
        # A frozen class is filled past its own refusal.
        fill = object.__setattr__
        fill(self, "_fetch", fetch)
        fill(self, "_row", row)
        fill(self, "_whole", None)

    op_id = _column(0)
    kind = _column(1)
    machine = _column(2)
    hardware = _column(3)
    scenario = _column(5)
    run = _column(6)
    revision = _column(7)

    @property
    def whole(self) -> Operation:
        """Return the operation with everything decoded."""
        known = self._whole
        if known is None:
            known = decode_operation(self._fetch(self.op_id))
            object.__setattr__(self, "_whole", known)
        return known

    @property
    def identities(self) -> tuple[str, ...]:
        """Return all that the hardware was known by when the operation was planned."""
        return tuple(self._row[4].split(" "))

    @property
    def destructive(self) -> bool:
        """Return whether a disk is written."""
        return bool(self._row[8])

    @property
    def proof(self) -> bool:
        """Return whether only the agent of the booted system proves it."""
        return bool(self._row[9])

    @property
    def macs(self) -> tuple[str, ...]:
        """Return the MACs that the machine had."""
        return self.whole.macs

    @property
    def uuid(self) -> str:
        """Return the UUID that the machine had."""
        return self.whole.uuid

    @property
    def steps(self) -> "tuple[Step, ...]":
        """Return the steps, without secrets."""
        return self.whole.steps

    @property
    def disks(self) -> "tuple[DiskIdentity, ...]":
        """Return the disks that are written."""
        return self.whole.disks

    @property
    def timeout_seconds(self) -> int:
        """Return how long it may take."""
        return self.whole.timeout_seconds

    def __eq__(self, other: object) -> bool:
        other = other.whole if isinstance(other, StoredOperation) else other
        return self.whole == other

    def __hash__(self) -> int:
        return hash(self.whole)

    def __repr__(self) -> str:
        return repr(self.whole)

    def __reduce__(self) -> tuple[Any, ...]:
        return decode_operation, (self._fetch(self.op_id),)
