"""The faster reading of regular files: it holds what libyaml's events say, or stands back."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from specs.source import LoadedFile, load_file
from specs.source.bulk import WORTH_LOADING, load_batch, load_files
from specs.source.regular import IrregularError, is_regular, read_regular

ROOT = Path(__file__).parents[2]

RACK = """\
# A rack.
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {name: tokyo/row2/rack07}   # by hand
spec:
  network: tokyo-a
  assign:
    - scenario: golden-compute
      run: 2026-11
---
apiVersion: rackwright/v1alpha1
kind: Machine
metadata:
  name: node-0713
  labels: {role: compute, example.com/site: "t:1", spare: 'no # comment'}

spec:
  group: tokyo/row2/rack07
  hardware:
    macs: ["52:54:00:12:34:56" ,"10:20:30:40:50:10"]
    uuid: 4c4c4544-0042-3510-8052-b4c04f4e4a32
  identity:
    addresses: [10.20.7.13/24]
  protect: true
  description: Compute node, third from above (row 2)
  numbers: [0, 17, "17", 007x]
"""

_WORDS = [
    "a",
    "b",
    "apiVersion",
    "1",
    "-1",
    "0",
    "007",
    "1.5",
    "1.",
    ".5",
    "1e3",
    "0x1f",
    "1_000",
    "12345678901234567890",
    "true",
    "True",
    "null",
    "~",
    "nan",
    ".inf",
    "inf",
    "yes",
    "2026-11-21",
    "1:30",
    "10:20:30:40:50:10",
    "52:54:00:12:34:5a",
    "10.0.0.1/8",
    "x y",
    "x - y",
    "a: b",
    "a:b",
    "a #b",
    "a#b",
    "it's",
    '"q"',
    "'q'",
    '"a" b',
    '"\\n"',
    "''''",
    '"é"',
    "[]",
    "{}",
    "[a, 1]",
    "[a , b]",
    "[a,b,]",
    "[[a]]",
    "[{a: 1}]",
    "{a: 1, b: [c]}",
    "{a: {b: c}}",
    "{a: 1, a: 2}",
    "{a:1}",
    "[a: 1]",
    "[a",
    "a]",
    "&x a",
    "*x",
    "!secret bmc/x",
    "| ",
    "<<",
    "? a",
    "---",
    "...",
    "%x",
    "",
]
_KEYS = ["a", "b", "c", "kind", "1", "true", "null", '"q"', "x/y", "a b", "<<", "-"]
_TAILS = ["", "", "", " ", " # c", "#c", "\t"]


@st.composite
def _lines(draw: st.DrawFn) -> str:
    indent = " " * draw(st.sampled_from([0, 0, 2, 2, 4, 1, 3, 6]))
    dashes = draw(st.sampled_from(["", "", "", "- ", "-   ", "- - "]))
    word = draw(st.sampled_from(_WORDS))
    form = draw(st.integers(0, 5))
    tail = draw(st.sampled_from(_TAILS))
    if form == 0:
        return draw(st.sampled_from(["---", "--- # x", "...", "", "  ", "# c", "   # c", "--- a"]))
    if form == 1:
        return f"{indent}{dashes}{word}{tail}"
    key = draw(st.sampled_from(_KEYS))
    return f"{indent}{dashes}{key}:{' ' if word else ''}{word}{tail}"


_TEXTS = st.builds(
    lambda lines, end: "\n".join(lines) + end,
    st.lists(_lines(), max_size=9),
    st.sampled_from(["\n", "\n", ""]),
)


def _shown(loaded: LoadedFile) -> object:
    return (
        loaded.unreadable,
        loaded.problems,
        [
            (
                repr(document.data),
                document.broken,
                document.position(()),
                document.chunk.text[document.begin : document.end],
                sorted((repr(item), line, column) for item, line, column in _items(document)),
            )
            for document in loaded.documents
        ],
    )


def _items(document):
    for value, line, column in document.items.values():
        place = document.chunk.position(line, column)
        yield value, place.line, place.column


@given(st.lists(_TEXTS, max_size=4))
@settings(max_examples=400, deadline=None)
@example(["a: x\n  - y\n"])
@example(["a:\n  - x\n    - y\n"])
@example(["# only\n", "", "  ", "a: b"])
@example(["--- # x\na: b\n", "  a: b\n---\n"])
@example(["a: b\n---\n"])
@example(["- a: 1\n  b: 2\n"])
@example(["a: .5\nb: nan\nc: 1.\n"])
@example(["%YAML 1.2\n---\na: b\n", "a: b\n...\nc\n"])
@example(["a: b\n", "a: b\n c: d\n"])
def test_texts_are_read_as_by_events(texts: list[str]) -> None:
    files = [(f"{number}.yaml", text.encode()) for number, text in enumerate(texts)]
    assert [_shown(each) for each in load_batch(files)] == [
        _shown(load_file(*each)) for each in files
    ]


@given(_TEXTS)
@settings(max_examples=400, deadline=None)
def test_a_text_that_is_called_regular_is_read_as_by_events_or_refused(text: str) -> None:
    if not is_regular(text):
        return
    try:
        (found,) = read_regular([text])
    except IrregularError:
        return
    (document,) = load_file("f.yaml", text.encode()).documents
    if found is None:
        assert document.items
    else:
        assert (repr(found), document.items) == (repr(document.data), {})


@pytest.mark.parametrize("folder", ["tests/broken", "tests/transcripts", "examples"])
def test_every_file_at_hand_is_read_as_by_events(folder: str) -> None:
    paths = [path for path in (ROOT / folder).rglob("*.y*ml") if path.is_file()]
    assert paths
    files = [(str(path), path.read_bytes()) for path in paths]
    for file, loaded in zip(files, load_batch(files), strict=True):
        assert _shown(loaded) == _shown(load_file(*file)), file[0]


def test_what_people_write_most_is_regular() -> None:
    comment, rack, machine = RACK.split("---\n")
    assert is_regular(f"---\n{rack}")
    rack_data, data = read_regular([rack, machine])
    assert rack_data is None
    assert data["spec"]["numbers"] == (0, 17, "17", "007x")
    assert data["spec"]["protect"] is True
    assert data["metadata"]["labels"]["spare"] == "no # comment"
    assert comment == "# A rack.\n"


def test_places_in_a_later_document_are_those_of_the_file() -> None:
    (loaded,) = load_batch([("f.yaml", RACK.encode())])
    rack, machine = loaded.documents
    assert rack.position(("spec", "assign", 0)).line == 9
    assert str(machine.position(("spec", "hardware", "macs", 1))) == "f.yaml:21:33"
    assert machine.written(("spec", "numbers", 3)) == "007x"


@pytest.mark.parametrize(
    "text",
    [
        "a: &x b\n",
        "a: !secret b\n",
        "a: |\n  b\n",
        'a: "\\n"\n',
        "a: True\n",
        "a: 1.5\n",
        "a: .5\n",
        "a: nan\n",
        "a: 0x1f\n",
        "a: 1234567890123456789\n",
        "a: 10:20:30:40:50:10\n",
        "a: null\n",
        "1: a\n",
        "a: b\n...\n",
        "a: b\r\n",
        "a:\tb\n",
        "a: [b\n",
        "  a: b\n",
        "---\n---\n",
        "a: {b}\n",
        "a: b",
        "a: 1\n" + "  " * 30 + "b: 1\n",
    ],
)
def test_anything_else_is_left_to_events(text: str) -> None:
    assert not is_regular(text)


@pytest.mark.parametrize("text", ["a: b\na: c\n", "a:\n", "a: b\n  c: d\n", "- a\nb: c\n", "- a\n"])
def test_what_is_wrong_within_the_form_is_left_to_events(text: str) -> None:
    assert is_regular(text)
    with pytest.raises(IrregularError):
        read_regular(["a: b\n", text])


def test_a_long_line_of_almost_regular_text_takes_no_longer_than_a_regular_one() -> None:
    # Possessive quantifiers: without them this would never end.
    assert not is_regular("a: " + "x " * 50_000 + "&\n" + "b: [" + "a, " * 50_000 + "\n")


def test_files_that_are_large_together_are_read_as_by_events() -> None:
    one = RACK.encode()
    files = [(f"{number}.yaml", one) for number in range(WORTH_LOADING // len(one) + 1)]
    loaded = list(load_files(files))
    assert [each.documents[0].file for each in loaded] == [name for name, _ in files]
    assert _shown(loaded[-1]) == _shown(load_file(*files[-1]))
