"""A broken fleet: one mistake in an otherwise sound repository, and what is said about it.

A case is a text file ``<area>/<the-mistake>.txt`` beside this module::

    What the person did, and why it is a mistake.

    === file: machine.yaml
    kind: Machine
    ...
    === expected
    machine.yaml:1:1: RW125 "apiVersion" is missing
        hint: add apiVersion: rackwright/v1alpha1

The files join those of ``base``; one of the same name replaces it. In parentheses
behind a name stands how its text becomes bytes: ``(crlf)``, ``(utf-16)``,
``(latin-1)``, or ``(bytes)``, where ``\\x00`` is the byte with that number.

One mistake makes one problem. Where it rightly makes more, the description has a
paragraph that begins with ``Several diagnostics:`` and says why.
"""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
BASE = {path.name: path.read_bytes() for path in sorted((FOLDER / "base").iterdir())}

_FILE = re.compile(r"=== file: (?P<name>\S+)(?: \((?P<form>[a-z0-9-]+)\))?\n")
_EXPECTED = "=== expected\n"
_BYTE = re.compile(rb"\\x([0-9a-f]{2})")
_SEVERAL = "Several problems:"


@dataclass(frozen=True)
class Case:
    """One file of the corpus. ``files`` are the whole repository, ``expected`` ends with \\n."""

    path: Path
    head: str
    description: str
    files: dict[str, bytes]
    expected: str

    @property
    def name(self) -> str:
        """The area and the mistake, as pytest shows them."""
        return self.path.relative_to(FOLDER).with_suffix("").as_posix()

    @property
    def may_make_several_problems(self) -> bool:
        """Whether the description says why this mistake makes more than one."""
        return any(
            paragraph.startswith(_SEVERAL) and len(paragraph) > len(_SEVERAL) + 20
            for paragraph in self.description.split("\n\n")
        )

    def expect(self, text: str) -> None:
        """Write ``text`` into the file as what is expected."""
        self.path.write_text(f"{self.head}{_EXPECTED}{text}", encoding="utf-8", newline="")


def cases() -> list[Case]:
    """Return the corpus in the order of its names."""
    return [_case(path) for path in sorted(FOLDER.glob("*/*.txt"))]


def _case(path: Path) -> Case:
    text = path.read_bytes().decode()
    head, _, expected = text.partition(_EXPECTED)
    description, *sections = _FILE.split(head)
    if not sections or not description.strip():
        raise ValueError(f"{path} needs a description and at least one === file: NAME")
    names, forms, contents = sections[::3], sections[1::3], sections[2::3]
    files = {
        name: _encoded(content, form)
        for name, form, content in zip(names, forms, contents, strict=True)
    }
    return Case(path, head, description, BASE | files, expected)


def _encoded(text: str, form: str | None) -> bytes:
    match form:
        case None:
            return text.encode()
        case "crlf":
            return text.replace("\n", "\r\n").encode()
        case "bytes":
            return _BYTE.sub(lambda match: bytes([int(match[1], 16)]), text.encode())
        case "utf-16" | "latin-1":
            return text.encode(form)
    raise ValueError(f"no file is written as ({form})")
