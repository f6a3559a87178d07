"""An operation as the ledger keeps it: JSON, decoded only when its steps are asked for."""

from collections.abc import Callable
from json import dumps, loads
from typing import TYPE_CHECKING, Any

from reconciler.ledger.operation import Operation

if TYPE_CHECKING:
    from agent.wire.disk import DiskIdentity
    from agent.wire.step import Step

_TEXTS = ("op_id", "kind", "machine", "hardware", "scenario", "run", "revision", "uuid")


def encode_operation(operation: Operation) -> str:
    """Return the text that ``decode_operation`` reads."""
    from agent.wire.codec import encode  # noqa: PLC0415 - slow to load
    from agent.wire.work import Work  # noqa: PLC0415

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
    from agent.wire.codec import decode  # noqa: PLC0415 - slow to load
    from agent.wire.disk import DiskIdentity  # noqa: PLC0415
    from agent.wire.work import Work  # noqa: PLC0415

    data = loads(body)
    return Operation(
        **{name: data[name] for name in _TEXTS},
        macs=tuple(data["macs"]),
        steps=decode(Work, data["work"].encode()).steps,
        disks=tuple(decode(DiskIdentity, disk.encode()) for disk in data["disks"]),
        proof=data["proof"],
        timeout_seconds=data["timeout_seconds"],
    )


class StoredOperation(Operation):
    """An operation of which only what the planner reads is at hand.

    The rest is fetched by ``fetch``, which returns the recorded text of an op_id, when
    it is first asked for. What was recorded never changes, so that it does not matter when.
    """

    __slots__ = ("_destructive", "_fetch", "_identities", "_whole")
    _destructive: bool
    _fetch: Callable[[str], str]
    _identities: tuple[str, ...]
    _whole: Operation | None

    def __init__(  # noqa: PLR0913, PLR0917 - what the planner reads has this many parts
        self,
        fetch: Callable[[str], str],
        op_id: str,
        kind: str,
        machine: str,
        hardware: str,
        identities: tuple[str, ...],
        scenario: str,
        run: str,
        revision: str,
        destructive: bool,  # noqa: FBT001 - in the order of the row
        proof: bool,  # noqa: FBT001
    ) -> None:
        # A frozen class is filled past its own refusal.
        fill = object.__setattr__
        fill(self, "op_id", op_id)
        fill(self, "kind", kind)
        fill(self, "machine", machine)
        fill(self, "hardware", hardware)
        fill(self, "scenario", scenario)
        fill(self, "run", run)
        fill(self, "revision", revision)
        fill(self, "proof", proof)
        fill(self, "_identities", identities)
        fill(self, "_destructive", destructive)
        fill(self, "_fetch", fetch)
        fill(self, "_whole", None)

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
        return self._identities

    @property
    def destructive(self) -> bool:
        """Return whether a disk is written."""
        return self._destructive

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
