"""The reference of all kinds, which is generated."""

import os
import re
from pathlib import Path

import pytest
from builders.kinds_reference import kinds_reference

from specs.kinds import KINDS
from specs.schema import json_schema

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "kinds.md"
UPDATE = "UPDATE_REFERENCE"
"""Set this environment variable to write the page instead of comparing it."""


@pytest.fixture(scope="module")
def page() -> str:
    return kinds_reference()


def test_the_page_in_the_repository_is_what_the_models_say(page: str) -> None:
    if os.environ.get(UPDATE):
        PAGE.write_text(page)
    assert PAGE.read_text() == page, f"run the test once with {UPDATE}=1"


def test_the_page_has_every_kind_and_every_field(page: str) -> None:
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == [*KINDS, "Shared parts"]
    for name, resource in json_schema()["definitions"].items():
        if name in KINDS:
            continue
        (section,) = re.findall(rf"^### {name}\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)
        rows = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
        assert rows == list(resource.get("properties", {})), name


def test_every_link_leads_to_a_heading_or_a_page(page: str) -> None:
    headings = {text.lower() for text in re.findall(r"^#+ (.*)$", page, re.MULTILINE)}
    for target in re.findall(r"\]\(([^)]*)\)", page):
        if target.startswith("#"):
            assert target[1:] in headings
        else:
            assert (PAGE.parent / target).is_file()
