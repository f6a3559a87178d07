"""The house speaks the field's words, and docs/glossary.md defines them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("agent", "providers", "reconciler", "specs")

# Words of our own that were given up: identifiers, and what to say instead. A part in
# lower case is found wherever it is a whole word of an identifier (``shape`` also in
# ``read_shape`` and ``ReadShape``); one with capitals only as it stands, because in
# lower case it is a word like any other.
GIVEN_UP = {
    r"complaints?|flaws?|problem_list": "diagnostic",
    r"rejections?": "invalid value",
    r"clues?": "hint",
    r"quotation": "quote",
    r"sound|unsound|Broken|_broken": "valid, invalid",
    r"outline": "source map",
    r"separation": "section",
    r"alike|shapes?|Cut": "nothing: it is gone",
    r"Surroundings|surroundings": "compile context",
    r"claims": "unique keys",
    r"shards?": "partition",
    r"crew": "worker pool",
    r"groundwork": "incremental state",
    r"sight": "cache key",
    r"folds?": "plan group",
    r"rollup": "summary row",
    r"Draft": "decision",
    r"Wishes|wishes": "nothing: it is gone",
    r"Turn|ITS_TURN": "candidate",
    r"acceptance": "commit policy",
    r"lineage|admission": "ancestry",
    r"boot_?desk": "boot service",
    r"requester": "client check",
    r"Ticket": "enrollment credentials",
    r"port_holder": "port owner",
    r"Heard": "upsert",
    r"wake_?up": "notifier",
    r"patience|patiently": "retry policy, retry",
    r"settle": "report unfinished attempt",
    r"survey|surveyed": "scan",
    r"doubts?": "unsupported reason",
    r"take_away": "invalidate",
    r"put_back": "commit",
    r"proofs?|prove|proven|unproven": "restore test, verify",
    r"in_ram": "ramdisk",
    r"enrolments?": "enrollment",
    r"workspaces?": "project",
}
# Stored under these names: columns of the database, fields of operations, of plan files and of
# documents.
STORED = {
    ("reconciler", "proof_seconds"),
    ("specs/fleet.py", "proof_seconds"),
    ("specs/kinds/waits.py", "proof"),
    ("reconciler", "proof"),
    ("reconciler/app/reviewed_plan.py", "fold"),
    ("reconciler/views/plan_", "fold"),
    ("reconciler/views/plan_", "folds"),
}
# To be changed by whoever works there; a line leaves when its folder is done.
PENDING: dict[str, str] = {}


def is_word(word: str, identifier: str) -> bool:
    """Return whether a pattern's word is in an identifier, as GIVEN_UP says."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", identifier).strip("_").lower()
    return any(
        re.search(rf"_({part})_", f"_{spaced}_")
        if part.islower() and part[0] != "_"
        else identifier == part
        for part in word.split("|")
    )


def identifiers(path: Path) -> Iterator[str]:
    """Yield the names that a module defines or uses, and its own."""
    yield path.stem
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                yield name


def modules() -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path


def is_allowed(module: str, identifier: str) -> bool:
    """Return whether a name may stay: it is stored, or its folder is not done yet."""
    stored = any(module.startswith(folder) and name == identifier for folder, name in STORED)
    return stored or any(
        module.startswith(folder) and is_word(words, identifier)
        for folder, words in PENDING.items()
    )


def test_no_identifier_is_a_word_that_was_given_up() -> None:
    found = {
        f"{module}: {name}, say {instead}"
        for module, path in modules()
        for name in set(identifiers(path))
        for word, instead in GIVEN_UP.items()
        if is_word(word, name) and not is_allowed(module, name)
    }
    assert sorted(found) == []


@pytest.mark.parametrize(
    ("word", "identifier", "found"),
    [
        ("shapes?", "read_shape", True),
        ("shapes?", "ReadShapes", True),
        ("shapes?", "reshape", False),
        ("Turn", "Turn", True),
        ("Turn", "turn", False),
        ("proofs?|prove", "_PROOF", True),
        ("proofs?|prove", "proves", False),
    ],
)
def test_a_word_is_a_whole_part_of_an_identifier(word: str, identifier: str, found: bool) -> None:  # noqa: FBT001
    assert is_word(word, identifier) is found


TERM = re.compile(r"^\*\*([^*]+)\*\*", re.MULTILINE)


def test_the_glossary_has_every_term_once_in_order() -> None:
    terms = [term.lower() for term in TERM.findall((ROOT / "docs/glossary.md").read_text())]
    assert terms == sorted(set(terms))
    assert {
        *("operation", "ledger", "boot grant", "lease", "epoch", "desired", "observed", "plan"),
        *("plan group", "machine", "resource", "diagnostic", "hint", "section", "restore test"),
        *("ramdisk", "quarantine", "enrollment", "commit policy", "registry", "source map"),
        *("retry policy", "scan", "invalidate", "unsupported reason", "project", "candidate"),
    } <= set(terms)


def test_each_term_is_defined_in_one_or_two_sentences() -> None:
    text = (ROOT / "docs/glossary.md").read_text()
    paragraphs = [paragraph for paragraph in text.split("\n\n") if paragraph.startswith("**")]
    long = [
        paragraph.partition(":")[0]
        for paragraph in paragraphs
        if len(re.findall(r"[.](?=\s|$)", paragraph)) not in (1, 2)
    ]
    assert long == []


def test_the_glossary_is_linked_from_where_people_begin() -> None:
    for place, link in (("README.md", "docs/glossary.md"), ("docs/architecture.md", "glossary.md")):
        assert f"]({link})" in (ROOT / place).read_text()
