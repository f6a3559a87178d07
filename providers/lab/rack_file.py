"""rack.yaml: text in, a Rack or every problem with its place out.

Read by the same reader as desired state, so that the same mistake gets the same words.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from agent.errors import TerminalError
from providers.lab.rack import Rack
from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.nearest import NearestNames
from specs.diagnostics.path import Path as FieldPath
from specs.diagnostics.path import dotted, is_within
from specs.validate.model_errors import ModelDiagnostic, explain
from specs.yaml import Document, load_file


def load_rack(path: Path) -> Rack:
    """Read a rack file. RW804 with every problem as ``file:line:column: CODE message``."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TerminalError(
            "RW804",
            f"the rack file {path} cannot be read: {error.strerror}",
            "Name an existing file with --rack",
        ) from error
    return parse_rack(data, str(path))


def parse_rack(data: bytes, file: str) -> Rack:
    """Return the rack that ``data`` describes; ``file`` is its name in messages. RW804."""
    loaded = load_file(file, data)
    diagnostics = Diagnostics()
    diagnostics.extend(loaded.diagnostics)
    rack = _rack(loaded.documents[0], diagnostics) if len(loaded.documents) == 1 else None
    if diagnostics.has_errors or rack is None:
        found = [str(problem) for problem in diagnostics.in_order()]
        found = found or [f"{file}: a rack file is one YAML document"]
        count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
        listing = "".join(f"\n  {problem}" for problem in found)
        raise TerminalError(
            "RW804", f"the rack file has {count}", f"Correct it:{listing.removesuffix('.')}"
        )
    return rack


def dump_rack(rack: Rack) -> bytes:
    """Return a file that ``parse_rack`` reads as the same rack."""
    saved = rack.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for machine, written in zip(rack.machines, saved["machines"], strict=True):
        if machine.link.loss is not None:
            written["link"]["loss"] = f"{machine.link.loss / 10:g}%"
    return json.dumps(saved, indent=2).encode() + b"\n"


def _rack(document: Document, diagnostics: Diagnostics) -> Rack | None:
    rack: Rack | None = None
    try:
        rack = Rack.model_validate(document.data)
        found = list(_shared_identities(rack))
    except ValidationError as error:
        found = explain(error.errors(include_url=False), Rack, NearestNames(), document.written)
    for diagnostic in found:
        if any(is_within(diagnostic.path, known) for known in document.invalid):
            continue
        place = document.key_position if diagnostic.at_key else document.position
        diagnostics.error(
            place(diagnostic.path), diagnostic.code, diagnostic.message, diagnostic.hint
        )
    return rack


def _shared_identities(rack: Rack) -> Iterator[ModelDiagnostic]:
    """Yield a diagnostic for every value that has to differ between machines and does not."""
    owners: dict[tuple[str, str], tuple[int, FieldPath]] = {}
    for index, machine in enumerate(rack.machines):
        identities: tuple[tuple[FieldPath, str], ...] = (
            (("name",), machine.name),
            (("mac",), machine.mac),
            (("uuid",), machine.uuid),
            (("disk", "serial"), machine.disk.serial),
            *(
                (("moreDisks", number, "serial"), disk.serial)
                for number, disk in enumerate(machine.more_disks)
            ),
        )
        for field, value in identities:
            owner = owners.setdefault((str(field[-1]), value), (index, field))
            if owner != (index, field):
                path = ("machines", index, *field)
                yield ModelDiagnostic(
                    path,
                    at_key=False,
                    code=Code.USED_TWICE,
                    message=f"{dotted(path)}: {value} is already that of machines[{owner[0]}]",
                    hint="give every machine its own",
                )
