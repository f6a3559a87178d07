"""What stays protected, whatever later revisions forget to say. Pure.

`protect: true` that somebody deletes by mistake, with its line, its group or its document,
goes on protecting the hardware. Only `protect: false` ends it.
"""

from collections.abc import Iterable, Mapping

from specs.fleet import PROTECT, CompiledMachine

_SHOWN = 12


def protected_after(
    known: Mapping[str, str], machines: Iterable[CompiledMachine], commit: str
) -> dict[str, str]:
    """Return where hardware is protected once a revision is acted on.

    ``known`` is where it was before, by each identity of the hardware; ``commit`` is empty
    for files outside Git. Machines of which the revision says nothing keep their
    protection, under all identities that their hardware has got meanwhile.
    """
    protected = dict(known)
    for machine in machines:
        identities = machine.hardware_identities
        if machine.protect is False:
            for identity in identities:
                protected.pop(identity, None)
            continue
        place = next((protected[each] for each in identities if each in protected), "")
        if machine.protect and not place:
            place = _place(machine, commit)
        if place:
            protected.update((each, place) for each in identities if each not in protected)
    return protected


def _place(machine: CompiledMachine, commit: str) -> str:
    origin = machine.origins.get(PROTECT)
    where = str(origin.position) if origin else machine.name
    return f"{where} of commit {commit[:_SHOWN]}" if commit else where
