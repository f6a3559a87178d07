"""What a machine was called before Git gave it another name. Pure."""

from collections.abc import Iterable

from reconciler.state.observed import ObservedMachine
from reconciler.state.operation import OperationStatus


def former_name(name: str, seen: ObservedMachine, operations: Iterable[OperationStatus]) -> str:
    """Return what the machine ``name`` was called before; empty where it has kept its name.

    That is the newest name that an observation or an operation of its hardware carries:
    once something is heard under the new name, the rename is history.
    """
    known = seen.known_as
    newest, at = known or ("", None)
    for status in operations:
        if at is None or at < status.at:
            newest, at = status.operation.machine, status.at
    return "" if newest == name else newest
