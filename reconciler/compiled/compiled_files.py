"""The fleet that valid files describe, its machines still as rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from reconciler.compiled.cache import File, FleetCache, KeptFleet
from reconciler.compiled.codec import codec_of
from reconciler.compiled.rows import WARNINGS, FileRows, decode_machines
from reconciler.compiled.source import SourceFiles
from specs.diagnostics.diagnostic import Diagnostic
from specs.fleet import CompiledFleet, CompiledMachine

_FLEET = codec_of(CompiledFleet)


class MissingRowsError(Exception):
    """The cache no longer has the machines of a file that it had before."""


def kept_base(cache: FleetCache, key: str) -> CompiledFleet | None:
    """Return what the cache has of files with this key, without their machines."""
    kept = cache.fleet(key)
    return None if kept is None else _FLEET.value(kept.fleet)


@dataclass(frozen=True)
class CompiledFiles:
    """The fleet that valid files describe."""

    base: CompiledFleet
    """Everything but its machines."""
    warnings: tuple[Diagnostic, ...]
    """By file, line and column."""
    machine_count: int
    context: str
    """A digest over all that its machines were compiled against."""
    files: Mapping[str, str]
    """The blobs of those that hold documents, by path."""
    cache: FleetCache | None = field(default=None, repr=False)
    rows: Mapping[File, FileRows] = field(default_factory=dict, repr=False)
    """The files that were compiled just now."""

    @classmethod
    def kept(cls, source: SourceFiles, cache: FleetCache) -> "CompiledFiles | None":
        """Return what the cache has of these files."""
        kept = (cache.fleet(source.tree) if source.tree else None) or cache.fleet(source.key)
        if kept is None:
            return None
        return cls(
            base=_FLEET.value(kept.fleet),
            warnings=WARNINGS.value(kept.warnings),
            machine_count=kept.machine_count,
            context=kept.context,
            files=kept.files,
            cache=cache,
        )

    def keep(self, key: str) -> None:
        """Put what was compiled just now into the cache, as what files with a key mean."""
        if self.cache is not None:
            kept = KeptFleet(
                context=self.context,
                fleet=_FLEET.text(self.base),
                warnings=WARNINGS.text(self.warnings),
                machine_count=self.machine_count,
                files=self.files,
            )
            self.cache.keep(key, kept, self.rows)

    def fleet(self, revision: str) -> CompiledFleet:
        """Return the fleet under the name of a revision; MissingRowsError where it is not whole.

        Its machines know the origins of assignments and of protection, and no others.
        """
        found = {machine.name: machine for machine in self._machines()}
        machines = {name: found[name] for name in sorted(found)}
        return replace(self.base, revision=revision, machines=machines)

    def _machines(self) -> Iterator[CompiledMachine]:
        kept: Mapping[File, str] = {}
        if self.cache is not None and len(self.rows) < len(self.files):
            kept = self.cache.machines(self.context)
        try:
            return decode_machines(
                [
                    self.rows[file].machines if file in self.rows else kept[file]
                    for file in self.files.items()
                ]
            )
        except KeyError as error:
            raise MissingRowsError(str(error)) from error
