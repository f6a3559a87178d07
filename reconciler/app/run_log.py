"""Which text of a run is meant."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from agent.wire.evidence import EvidenceName
from reconciler.errors import ReconcilerError
from reconciler.state.machine_history import PastOperation
from reconciler.state.run_evidence import EvidenceFile

EvidenceOf = Mapping[str, tuple[EvidenceFile, ...]]
"""By operation."""


class ChosenLog(NamedTuple):
    """One text, and the operation that it is of."""

    operation: PastOperation
    file: EvidenceFile


def chosen_log(
    operations: Iterable[PastOperation],
    evidence: EvidenceOf,
    machine: str,
    name: EvidenceName,
    attempt: int | None,
) -> ChosenLog:
    """Return the text of a machine of a run; of its newest attempt where none is named.

    Raises ReconcilerError: RW958 where it is not clear which machine is meant, or the run has no
    such machine; RW959 where its machine sent no such text, or it was pruned.
    """
    operation = _operation(tuple(operations), machine)
    files = [
        file
        for file in evidence.get(operation.operation.op_id, ())
        if file.name == name and attempt in (None, file.attempt)
    ]
    if not files:
        of = f"attempt {attempt} of " if attempt is not None else ""
        raise ReconcilerError(
            "RW959",
            f"there is no {name} of {of}{operation.operation.machine} in this run",
            "`rackwright runs show` names what there is. A machine that lost its power sent "
            "nothing more, and old texts are let go (`runs` in the Fleet document)",
        )
    return ChosenLog(operation, max(files, key=lambda file: file.attempt))


def _operation(operations: tuple[PastOperation, ...], machine: str) -> PastOperation:
    names = sorted({each.operation.machine for each in operations})
    mine = [each for each in operations if machine in ("", each.operation.machine)]
    if not mine:
        raise ReconcilerError(
            "RW958", f"the run has no machine {machine}", f"It has {_listed(names)}"
        )
    if len({each.operation.machine for each in mine}) > 1:
        raise ReconcilerError(
            "RW958",
            f"the run has {len(names)} machines: {_listed(names)}",
            "Name one with --machine",
        )
    return mine[-1]


_NAMED = 5


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
