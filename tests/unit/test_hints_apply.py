"""Every hint is followed, word for word: what it says to write is not refused again."""

import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from specs.compile.fleet import compile_fleet
from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostic
from specs.fleet import CompiledFleet
from tests.broken.case import BASE, Case, cases

REPLACES = (
    r'did you mean "?([^"? ]+)"?\?',
    r"put it in quotes: (.+)",
    r"put the value in quotes: (.+)",
    r". is no quote to YAML; write (.+)",
    r"write (.+), not a list",
    r"write (.+), with (?:colons and in quotes|a space after the colon)",
    r"write (.+), without quotes",
    r"write ([^;]+); (?:yes, no, on and off are text|the domain goes into .+)",
    r"write (.+)",
)
"""Hints that say what to write in the place of what is there."""
IN_WORDS = re.compile(
    r"write (?:\S+ )?(?:one |the |a |an |key: value|it |exactly|true or false|apiVersion|verify:"
    r"|!secret and|hostname: |<<|hours|%YAML|from )|.*\bor\b.*"
)
"""Hints that describe it: a person has to think."""
MORE_TO_SAY = {
    "document/spec-misspelt": "the document lacks more",
    "fleet/commits-verify-openpgp": "the key's kind was not looked at before",
    "power/driver-unknown": "the driver wants more fields",
}
"""Cases with a second mistake, which only the first one hid."""
REFERENCES = {Code.UNKNOWN_REFERENCE, Code.NOTHING_SELECTED, Code.SUBNETS_OVERLAP}
"""A person's own names and networks cannot be known: an example has others."""


def nodes(root: Node) -> Iterator[Node]:
    yield root
    if isinstance(root, MappingNode):
        for pair in root.value:
            for each in pair:
                yield from nodes(each)
    elif isinstance(root, SequenceNode):
        for each in root.value:
            yield from nodes(each)


def span(text: str, diagnostic: Diagnostic) -> tuple[int, int] | None:
    """Return where the smallest thing begins and ends that the diagnostic points at."""
    place = (diagnostic.position.line - 1, diagnostic.position.column - 1)
    found = [
        (node.start_mark.index, node.end_mark.index)
        for root in YAML(pure=True).compose_all(text)
        if root is not None
        for node in nodes(root)
        if (node.start_mark.line, node.start_mark.column) == place
    ]
    return min(found, key=lambda each: each[1]) if found else None


def cell_span(text: str, diagnostic: Diagnostic) -> tuple[int, int]:
    lines = text.split("\n")
    begin = sum(len(line) + 1 for line in lines[: diagnostic.position.line - 1])
    begin += diagnostic.position.column - 1
    end = re.compile(r'"[^"]*"|[^,\n]*').match(text, begin)
    assert end
    return begin, end.end()


def meant(hint: str) -> str | None:
    """Return the text that a hint says to write; None where it says no text."""
    if IN_WORDS.fullmatch(hint) or IN_WORDS.match(hint):
        return None
    found = (re.fullmatch(form, hint) for form in REPLACES)
    return next((each[1] for each in found if each), None)


def followed(files: dict[str, bytes], diagnostic: Diagnostic) -> dict[str, bytes] | None:
    """Return the files after the hint was followed; None where it says nothing to write."""
    new = meant(diagnostic.hint)
    if new is None:
        return None
    file = diagnostic.position.file
    text = files[file].decode()
    if diagnostic.code == Code.SYNTAX:
        inner = re.escape(new.strip('"'))
        return {**files, file: re.sub(rf"[“”‘’]?{inner}[“”‘’]?", new, text).encode()}  # noqa: RUF001
    if file.endswith(".csv"):
        place: tuple[int, int] | None = cell_span(text, diagnostic)
    else:
        place = span(text, diagnostic)
    assert place, diagnostic
    begin, end = place
    if re.match(r"[a-zA-Z]+: ", new) and diagnostic.code == Code.UNKNOWN_FIELD:
        end = len(text) - len(re.sub(r"\A: *(?:\"[^\"]*\"|[^,}\n]*)", "", text[end:]))
    tail = text[begin:end]
    new += tail[len(tail.rstrip()) :]
    return {**files, file: (text[:begin] + new + text[end:]).encode()}


def seen(files: dict[str, bytes]) -> set[tuple[Code, str]]:
    return {(each.code, each.message) for each in compile_fleet(files, "r").diagnostics}


def is_small(case: Case) -> bool:
    return all(len(content) < 10_000 and b"&" not in content for content in case.files.values())


CASES = [each for each in cases() if is_small(each) and each.name not in MORE_TO_SAY]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_hint_says_to_write_is_not_refused(case: Case) -> None:
    for diagnostic in compile_fleet(case.files, "r").diagnostics:
        after = followed(case.files, diagnostic)
        if after is not None:
            left = seen(after) - (seen(case.files) - {(diagnostic.code, diagnostic.message)})
            assert {each for each in left if each[0] not in REFERENCES} == set(), diagnostic


def test_many_hints_say_what_to_write() -> None:
    hints = [each.hint for case in CASES for each in compile_fleet(case.files, "r").diagnostics]
    assert sum(meant(hint) is not None for hint in hints) >= 110


PLACED = re.compile(r'(?:(?P<outer>[^ ]+): )?(?:unknown field )?"(?P<key>[^"]+)"(?: is missing)?')
MOVES = re.compile(r"it belongs in (.+)")
ADDS = re.compile(r"add (\w+): (?!one of )((?:(?!\.\.\.).)+?)(?: \([A-Z].*\))?")


def parts(path: str) -> list[str | int]:
    found = re.findall(r"([^.\[\]]+)|\[(\d+)\]", path)
    return [name or int(index) for name, index in found]


def mapping_at(document: Any, path: list[str | int]) -> Any:
    for part in path:
        document = document.setdefault(part, {}) if isinstance(part, str) else document[part]
    return document


def moved_or_added(files: dict[str, bytes], diagnostic: Diagnostic) -> dict[str, bytes] | None:
    """Return the files after a field was moved or added as the hint says; None for other hints."""
    place = PLACED.fullmatch(diagnostic.message)
    moves, adds = (form.fullmatch(diagnostic.hint) for form in (MOVES, ADDS))
    file = diagnostic.position.file
    if not place or not (moves or adds) or file.endswith(".csv"):
        return None
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 1000
    documents = list(yaml.load_all(files[file]))
    (document,) = documents
    outer = mapping_at(document, parts(place["outer"] or ""))
    if moves:
        target = "" if moves[1] == "the document itself" else moves[1]
        mapping_at(document, parts(target))[place["key"]] = outer.pop(place["key"])
    elif adds and outer is not None:
        outer[adds[1]] = yaml.load(adds[2])
    out = BytesIO()
    yaml.dump(document, out)
    return {**files, file: out.getvalue()}


@pytest.mark.parametrize(
    "case", [each for each in CASES if "it belongs" in each.expected or "add " in each.expected]
)
def test_a_field_that_was_moved_or_added_is_not_refused(case: Case) -> None:
    for diagnostic in compile_fleet(case.files, "r").diagnostics:
        after = moved_or_added(case.files, diagnostic)
        if after is not None:
            left = seen(after) - (seen(case.files) - {(diagnostic.code, diagnostic.message)})
            assert {each for each in left if each[0] not in REFERENCES} == set(), diagnostic


MACHINE = """\
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {name: node-02}
spec:
  group: rack
  hardware: {macs: ["52:54:00:77:00:02"]}
"""


def fleet_of(files: dict[str, bytes]) -> CompiledFleet:
    result = compile_fleet(files, "r")
    assert result.fleet is not None, result.diagnostics
    return result.fleet


@pytest.mark.parametrize(
    ("mistake", "right"),
    [
        ("  identity: {address: 10.77.0.12/24}", '  identity: {addresses: ["10.77.0.12/24"]}'),
        ("  assign: install", "  assign: [{scenario: install, run: 2026-11}]"),
        ("  assign: [install]", "  assign: [{scenario: install, run: 2026-11}]"),
        ("  identity: {hostname: “host-2”}", "  identity: {hostname: host-2}"),
        ("  identity: {addresses: [“10.77.0.12/24”]}", "  identity: {addresses: [10.77.0.12/24]}"),
        ("  identity: {addresses: 10.77.0.12/24}", "  identity: {addresses: [10.77.0.12/24]}"),
        ("  identity: {hostname: host_2}", "  identity: {hostname: host-2}"),
        ("  identity: {hostName: host-2}", "  identity: {hostname: host-2}"),
        ("  network: labb", "  network: lab"),
        ('  protect: "true"', "  protect: true"),
        ("  protect: yes", "  protect: true"),
    ],
)
def test_a_followed_hint_says_what_was_meant(mistake: str, right: str) -> None:
    files = {**BASE, "extra.yaml": f"{MACHINE}{mistake}\n".encode()}
    diagnostics = compile_fleet(files, "r").diagnostics
    after = followed(files, diagnostics[0])
    assert after is not None, diagnostics[0]
    wanted = {**BASE, "extra.yaml": f"{MACHINE}{right}\n".encode()}
    assert fleet_of(after).machines["node-02"].digest == (
        fleet_of(wanted).machines["node-02"].digest
    )


def test_a_field_is_not_sent_to_another_meaning() -> None:
    text = f"{MACHINE}  address: 10.77.0.12/24\n"
    (diagnostic,) = compile_fleet({**BASE, "extra.yaml": text.encode()}, "r").diagnostics
    assert diagnostic.hint == "did you mean spec.power.address or spec.identity.addresses?"
