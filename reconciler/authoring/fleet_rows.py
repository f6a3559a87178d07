"""All machines of a repository as rows."""

from collections.abc import Mapping

from reconciler.authoring.machine_row import MachineRow, row_of_compiled, row_of_document
from reconciler.authoring.rewrite import AuthoringError
from specs.desired_state import is_desired_state
from specs.diagnostics.collector import Diagnostics
from specs.diagnostics.nearest import NearestNames
from specs.fleet import CompiledFleet
from specs.kinds.machine import Machine
from specs.validate.document import define
from specs.yaml import load_file


def fleet_rows(files: Mapping[str, bytes], fleet: CompiledFleet) -> tuple[MachineRow, ...]:
    """Return one row for each machine, in the order of names: what is written of it itself.

    ``files`` are those that ``fleet`` was compiled from. Raises AuthoringError RW938
    with the names of machines of which more is written than a row can say.
    """
    rows: dict[str, MachineRow | None] = {}
    for file in sorted(filter(is_desired_state, files)):
        for document in load_file(file, files[file]).documents:
            model = define(document, Diagnostics(), NearestNames()).model
            if isinstance(model, Machine):
                rows[model.metadata.name] = row_of_document(model)
    for name, machine in fleet.machines.items():
        if name not in rows:
            rows[name] = row_of_compiled(machine)
    more = [name for name, row in rows.items() if row is None]
    if more:
        raise AuthoringError(
            "RW938",
            f"a row of CSV cannot say all that the repository says of {', '.join(sorted(more))}",
            "Keep these machines as they are: export would lose a part of them",
        )
    return tuple(row for _, row in sorted(rows.items()) if row is not None)
