"""Every code that a person can meet is explained."""

import ast
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.authoring.rewrite import AuthoringError
from reconciler.cli.explain import PACKAGES, PAGE, code_explanations, explain, explain_code
from specs.diagnostics.codes import Code

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"\bRW\d{3}\b")
UPDATE = "UPDATE_REFERENCE"
"""Set this environment variable to write the page instead of comparing it."""
HEAD = """\
# Error codes

What each code means, at the length that helps somebody who is stuck. `rackwright explain CODE`
prints the same entry. This page is generated from `codes.toml` of the four packages.

| codes | of |
|---|---|
| RW1xx | documents: what `rackwright validate` reports |
| RW2xx | packages and their content |
| RW3xx | network boot |
| RW4xx | imaging |
| RW5xx | agents, certificates, tokens |
| RW6xx | power, and work that a machine does not carry out |
| RW7xx | state and Git |
| RW8xx | the virtual rack and the build of the Deploy-OS |
| RW9xx | commands |
"""


def documentation(tree: ast.Module) -> set[int]:
    """Return the nodes that are texts by themselves: docstrings, which raise nothing."""
    return {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def codes_in(source: str) -> Iterator[str]:
    tree = ast.parse(source)
    ignored = documentation(tree)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in ignored
        ):
            yield from CODE.findall(node.value)


def used_codes() -> set[str]:
    """Return all codes in texts of the four packages; of desired state, those by name."""
    found: set[str] = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            source = path.read_text("utf-8")
            if path == ROOT / "specs/diagnostics/codes.py":
                continue
            found.update(codes_in(source))
            found |= {Code[name] for name in re.findall(r"\bCode\.([A-Z_]+)\b", source)}
    return found


def test_every_code_in_the_source_is_explained() -> None:
    assert sorted((used_codes() | set(Code)) - set(code_explanations())) == []


def test_every_explanation_is_of_a_code_in_the_source() -> None:
    assert sorted(set(code_explanations()) - used_codes()) == []


def test_a_code_is_explained_by_the_package_that_has_it_in_its_range() -> None:
    for package, ranges in {"specs": "1", "agent": "2456", "providers": "23468"}.items():
        text = (ROOT / package / "codes.toml").read_text("utf-8")
        assert {code[2] for code in re.findall(r"^\[(RW\d{3})\]$", text, re.MULTILINE)} <= set(
            ranges
        )
    sections = [
        code
        for package in PACKAGES
        for code in re.findall(
            r"^\[(.*)\]$", (ROOT / package / "codes.toml").read_text("utf-8"), re.MULTILINE
        )
    ]
    assert sorted(sections) == list(code_explanations())


@pytest.mark.parametrize("entry", code_explanations().values(), ids=lambda entry: entry.code)
def test_an_explanation_is_two_to_six_whole_sentences(entry) -> None:
    assert CODE.fullmatch(entry.code)
    assert entry.title
    assert not entry.title.endswith(".")
    body = f"{entry.cause} {entry.action}"
    assert entry.cause.endswith(".")
    assert re.search(r"[.\w}*]$", entry.action)
    assert "  " not in body
    assert "\n" not in body
    assert len(body) <= 600
    assert len(entry.cause) >= 25


def test_a_code_is_found_in_either_case() -> None:
    assert explain_code("rw543").title == "a token was used twice"


@pytest.mark.parametrize(
    ("text", "cause", "action"),
    [
        ("RW199", "there is no code 'RW199'", "Did you mean RW1"),
        ("RW5430", "there is no code 'RW5430'", "Did you mean RW430 (the store lacks a chunk)?"),
        ("RWfoo-bar", "there is no code 'RWFOO-BAR'", "docs/reference/codes.md lists all of them"),
        ("node-01", "'node-01' is neither KIND/NAME nor a code", "Write machine/node-01"),
    ],
)
def test_an_unknown_code_is_answered_with_the_nearest(text: str, cause: str, action: str) -> None:
    with pytest.raises(AuthoringError) as caught:
        explain_code(text)
    assert (caught.value.code, caught.value.cause) == ("RW935", cause)
    assert caught.value.action.startswith(action)


def test_the_command_prints_an_entry_for_people_and_for_programs() -> None:
    text = CliRunner().invoke(explain, ["RW611"], catch_exceptions=False).output
    assert text.startswith(
        "RW611: the machine did not boot over the network\n\nCause: It was woken"
    )
    assert max(map(len, text.splitlines())) <= 80
    document = CliRunner().invoke(explain, ["rw611", "--format", "json"], catch_exceptions=False)
    assert json.loads(document.output) == explain_code("RW611")._asdict()


def codes_page() -> str:
    parts = [HEAD]
    for entry in code_explanations().values():
        parts += [f"\n## {entry.code}: {entry.title}\n", f"\n{entry.cause}\n\n{entry.action}\n"]
    return "".join(parts)


def test_the_page_in_the_repository_is_what_the_entries_say() -> None:
    page = ROOT / PAGE
    if os.environ.get(UPDATE):
        page.write_text(codes_page(), "utf-8")
    assert page.read_text("utf-8") == codes_page(), f"run the test once with {UPDATE}=1"
