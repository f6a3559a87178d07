"""Every folder of ``tests/transcripts`` is a review as a person reads it."""

import json
import os
from io import StringIO
from pathlib import Path

import pytest
from builders.transcript import carried_out, read
from builders.world import NOW
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from rich.console import Console

from reconciler.app.unattended_work import with_unattended
from reconciler.planning.difference import difference
from reconciler.planning.lint import broken_invariants
from reconciler.planning.planner import plan
from reconciler.views.difference_text import (
    difference_document,
    difference_markdown,
    difference_text,
)
from reconciler.views.plan_document import PlanDocument
from reconciler.views.plan_html import plan_html
from reconciler.views.plan_json import plan_document
from reconciler.views.plan_markdown import MARKER, MAX_CHARACTERS, plan_markdown
from reconciler.views.plan_text import plan_text

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "transcripts"
CASES = sorted(path.parent for path in FOLDER.glob("*/observed.yaml"))
MANY = 50
UPDATE = bool(os.environ.get("RACKWRIGHT_UPDATE_TRANSCRIPTS"))
OURS, BASE = "main at 222222222222", "main at 111111111111"


def printed(renderable, width):
    screen = Console(file=StringIO(), width=width, color_system=None)
    screen.print(renderable, highlight=False)
    return "".join(f"{line.rstrip()}\n" for line in screen.file.getvalue().splitlines())


def check(path, text):
    if UPDATE:
        path.write_text(text, "utf-8")
    assert path.exists(), f"write it with RACKWRIGHT_UPDATE_TRANSCRIPTS=1: {path}"
    assert text == path.read_text("utf-8")


def comparison(transcript):
    after, before, world = transcript.after, transcript.before, transcript.world
    return difference(
        with_unattended(plan(after, world, NOW), world, after),
        plan(before, world, NOW),
        after,
        before,
        transcript.values,
    )


def outputs(made, transcript):
    explain = transcript.options.get("explain", False)
    describe = OURS if transcript.after else BASE
    text = plan_text(made, describe, NOW, explain=explain)
    yield "plan.txt", printed(text, 140)
    yield "plan.80.txt", printed(text, 80)
    yield "plan.md", plan_markdown(made, describe, NOW, explain=explain)
    if len(made.items) < MANY:
        document = plan_document(made)
        TypeAdapter(PlanDocument).validate_python(document, strict=True)
        yield "plan.json", json.dumps(document, indent=2) + "\n"
    if transcript.after is not None:
        compared = comparison(transcript)
        text = difference_text(compared, OURS, BASE, NOW)
        yield "difference.txt", printed(text, 100)
        yield "difference.md", difference_markdown(compared, OURS, BASE, NOW)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_plan_reads_as_it_was_reviewed(case):
    transcript = read(case)
    fleet, world = transcript.fleet, transcript.world
    made = with_unattended(plan(fleet, world, NOW), world, fleet)
    assert broken_invariants(made) == ()
    for name, text in outputs(made, transcript):
        check(case / name, text)
        if name.endswith(".md"):
            assert len(text) <= MAX_CHARACTERS
            assert text.startswith(MARKER)
    if transcript.options.get("converges"):
        after = plan(transcript.fleet, carried_out(transcript.fleet, transcript.world), NOW)
        assert [item.reason for item in after.items] == []
    assert "\n".join(plan_html(made, OURS, NOW)).count("<tr>") >= len(made.items)


SCREEN = 40
LARGE = {
    "one-line-that-gives-3000-of-6000-machines-another-image-is-on-the-first-screen": "36:18",
    "one-line-that-gives-3000-unobserved-machines-another-image-is-destructive": "36:18",
    "3000-of-6000-machines-that-move-to-another-group-are-one-row": "48:15",
}


@pytest.mark.parametrize(("name", "place"), LARGE.items())
def test_the_first_screen_names_the_cause_the_number_and_the_class(name, place):
    compared = comparison(read(FOLDER / name))
    assert (compared.exit_code, difference_document(compared)["exitCode"]) == (3, 3)
    text = printed(difference_text(compared, OURS, BASE, NOW), 100).splitlines()[:SCREEN]
    comment = difference_markdown(compared, OURS, BASE, NOW).splitlines()[:SCREEN]
    for lines in (text, comment):
        screen = "\n".join(lines)
        assert f"fleet.yaml:{place}" in screen
        assert "compute → store" in screen or "osaka → storage" in screen
        assert "clone-compute run 1 writes debian12 → clone-store run 1 writes other" in screen
    assert text[0].startswith("Wanted: DESTRUCTIVE 3,000 · ")
    assert "wanted **DESTRUCTIVE 3,000**" in comment[1]
    assert len([line for line in text if "Acme SSD 480" in line]) <= 1


UNOBSERVED = [
    ("a-branch-that-edits-a-label-is-destructive-without-observations", 3),
    ("a-branch-that-names-another-image-is-destructive-without-observations", 3),
    ("a-branch-that-names-another-image-begins-nothing-where-the-run-is-done", 0),
    ("a-branch-that-renames-a-column-of-a-table-names-the-heading", 0),
    ("a-branch-that-raises-a-budget-names-it", 0),
    ("a-branch-that-lets-a-schedule-select-more-machines-is-destructive", 3),
]


@pytest.mark.parametrize(("name", "code"), UNOBSERVED)
def test_the_exit_code_is_of_what_is_wanted_where_it_is_not_done(name, code):
    compared = comparison(read(FOLDER / name))
    assert compared.introduced.empty
    assert compared.exit_code == code


def test_there_are_enough_cases_and_none_is_a_leftover():
    assert len(CASES) >= 40
    leftovers = [
        path for path in FOLDER.glob("*/*") if path.parent not in {*CASES, FOLDER / "shared"}
    ]
    assert leftovers == []


class WithoutTitles(GenerateJsonSchema):
    """A title that only repeats the key in other letters helps nobody."""

    def field_title_should_be_set(self, schema):
        del schema
        return False


def test_the_published_schema_is_the_one_of_the_plans():
    schema = TypeAdapter(PlanDocument).json_schema(schema_generator=WithoutTitles)
    dialect = "https://json-schema.org/draft/2020-12/schema"
    text = json.dumps({"$schema": dialect, **schema}, indent=2) + "\n"
    check(ROOT / "docs/reference/plan.schema.json", text)
