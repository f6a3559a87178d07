"""What a machine of a group has before it says anything itself."""

from specs.compile.context import CompileContext
from specs.compile.machines import compile_machines
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.nearest import NearestNames
from specs.fleet import CompiledMachine
from specs.kinds import API_VERSION
from specs.validate.document import define
from specs.yaml import load_file

_NAME = "machine"


def group_member(group: str, context: CompileContext) -> CompiledMachine:
    """Return an imaginary machine of a group, in no document, with all that it is given.

    ``group`` is a valid name; it need not be written. Selectors that name machines may mean
    others.
    """
    text = (
        f"apiVersion: {API_VERSION}\nkind: Machine\nmetadata: {{name: {_NAME}}}\n"
        f'spec: {{group: "{group}", hardware: {{macs: ["02:00:00:00:00:00"]}}}}\n'
    )
    (document,) = load_file("", text.encode()).documents
    resource = define(document, Diagnostics(), NearestNames())
    return compile_machines({_NAME: resource}, context, Diagnostics())[_NAME]
