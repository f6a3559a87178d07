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
from reconciler.views.difference_text import difference_markdown, difference_text
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
        base = plan(transcript.before, transcript.world, NOW)
        compared = difference(made, base, transcript.after, transcript.before)
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
