"""Checking all files of a repository."""

from dataclasses import dataclass

from reconciler.compiled.processes import BYTES_WORTH_A_PROCESS
from reconciler.git.tree import SourceTree
from specs.diagnostics.diagnostic import Diagnostic


@dataclass(frozen=True, slots=True)
class FleetCheck:
    """What a repository says."""

    diagnostics: tuple[Diagnostic, ...]
    """By file, line and column."""
    sound: bool
    """Whether none of them is an error."""
    machines: int = 0
    scenarios: int = 0


def check_fleet(source: SourceTree) -> FleetCheck:
    """Return what is wrong with the files of a source."""
    if sum(map(len, source.files.values())) >= BYTES_WORTH_A_PROCESS:
        from reconciler.compiled.compile import compile_index  # noqa: PLC0415 - large fleets only

        compiled = compile_index(source.files)
        if compiled is not None:
            index, _ = compiled
            machines = sum(shard.count for shard in index.shards.values())
            scenarios = len(index.surroundings.scenarios)
            return FleetCheck(index.warnings, sound=True, machines=machines, scenarios=scenarios)
    from specs.compile.fleet import compile_fleet  # noqa: PLC0415 - slow to load

    result = compile_fleet(source.files, source.revision)
    fleet = result.fleet
    if fleet is None:
        return FleetCheck(result.diagnostics, sound=False)
    counts = {"machines": len(fleet.machines), "scenarios": len(fleet.scenarios)}
    return FleetCheck(result.diagnostics, sound=True, **counts)
