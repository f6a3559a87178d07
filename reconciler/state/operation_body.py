"""An operation as the ledger keeps it: JSON."""

from json import dumps, loads

from agent.wire.codec import decode, encode
from agent.wire.disk import DiskIdentity
from agent.wire.work import Work
from reconciler.state.operation import Instructions, Operation, identities_of

_TEXTS = ("op_id", "kind", "machine", "hardware", "scenario", "run", "revision")


def encode_operation(operation: Operation) -> str:
    """Return the text that ``decode_operation`` reads."""
    instructions = operation.instructions
    return dumps(
        {
            **{name: getattr(operation, name) for name in _TEXTS},
            "proof": operation.proof,
            "macs": instructions.macs,
            "uuid": instructions.uuid,
            "work": encode(_work(operation.op_id, instructions)).decode(),
            "disks": [encode(disk).decode() for disk in instructions.disks],
            "timeout_seconds": instructions.timeout_seconds,
        }
    )


def decode_operation(body: str) -> Operation:
    """Return the operation that was recorded."""
    data = loads(body)
    work = decode(Work, data["work"].encode())
    instructions = Instructions(
        macs=tuple(data["macs"]),
        uuid=data["uuid"],
        steps=work.steps,
        disks=tuple(decode(DiskIdentity, disk.encode()) for disk in data["disks"]),
        timeout_seconds=data["timeout_seconds"],
        limits=work.limits,
        on_error=work.on_error,
    )
    return Operation(
        **{name: data[name] for name in _TEXTS},
        identities=identities_of(data["hardware"], instructions.macs, instructions.uuid),
        destructive=bool(instructions.disks),
        proof=data["proof"],
        body=instructions,
    )


def _work(op_id: str, instructions: Instructions) -> Work:
    return Work(
        op_id, 0, instructions.steps, limits=instructions.limits, on_error=instructions.on_error
    )
