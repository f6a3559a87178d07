"""Conversions between versions of documents, with a table made up for the test."""

import io

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from specs.kinds import API_VERSION
from specs.migration import CONVERSIONS, Conversion, migrate


def rename_rack(document: CommentedMap) -> list[str]:
    spec = document["spec"]
    if "rack" not in spec:
        return []
    place = list(spec).index("rack")
    comment = spec.ca.items.pop("rack", None)
    spec.insert(place, "group", spec.pop("rack"))
    if comment is not None:
        spec.ca.items["group"] = comment
    return ["spec.rack -> spec.group"]


def quote_run(document: CommentedMap) -> list[str]:
    document["spec"]["run"] = str(document["spec"].get("run", ""))
    return ["spec.run: is text"]


TABLE = {
    "example/v1": Conversion("example/v2", rename_rack),
    "example/v2": Conversion("example/v3", quote_run),
    "example/a": Conversion("example/b", rename_rack),
    "example/b": Conversion("example/a", rename_rack),
}
OLD = """\
# whose machine it is
apiVersion: example/v1 # soon v3
kind: Machine
spec:
  rack: "07"  # the third row
  run: 7
"""
NEW = """\
# whose machine it is
apiVersion: example/v3 # soon v3
kind: Machine
spec:
  group: "07" # the third row
  run: '7'
"""


def round_trip() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    return yaml


def test_a_document_is_brought_to_the_current_version_step_by_step_and_keeps_its_comments() -> None:
    document = round_trip().load(OLD)
    assert migrate(document, TABLE, "example/v3") == [
        "spec.rack -> spec.group",
        "apiVersion: example/v1 -> example/v2",
        "spec.run: is text",
        "apiVersion: example/v2 -> example/v3",
    ]
    text = io.StringIO()
    round_trip().dump(document, text)
    assert text.getvalue() == NEW


def test_a_migrated_document_is_current() -> None:
    document = round_trip().load(OLD)
    migrate(document, TABLE, "example/v3")
    assert migrate(document, TABLE, "example/v3") == []


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: example/v3\nspec: {rack: a}\n",
        "apiVersion: example/v9\nspec: {rack: a}\n",
        "apiVersion: example/a\nspec: {rack: a}\n",
        "apiVersion: 1\nspec: {rack: a}\n",
        "apiVersion: [example/v1]\nspec: {rack: a}\n",
        "spec: {rack: a}\n",
        "- apiVersion: example/v1\n",
        "text",
        "",
    ],
)
def test_what_is_current_unknown_or_not_ours_stays_as_it_is(text: str) -> None:
    document = round_trip().load(text)
    before = repr(document)
    assert migrate(document, TABLE, "example/v3") == []
    assert repr(document) == before


def test_every_way_of_the_table_leads_to_the_version_that_is_read() -> None:
    for version in CONVERSIONS:
        document = CommentedMap(apiVersion=version)
        assert migrate(document)[-1].endswith(f"-> {API_VERSION}")
    assert migrate(CommentedMap(apiVersion=API_VERSION)) == []
