"""Documents of a known shape are read as if they were parsed, or are parsed."""

from collections.abc import Iterator
from pathlib import Path as FilePath

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from specs.diagnostics.path import Path
from specs.yaml import LoadedFile, load_file, load_files
from specs.yaml.alike import load_alike
from specs.yaml.load import WORTH_LEARNING
from specs.yaml.section import Section
from specs.yaml.shape import Shape, UnlikeError, cut

ROOT = FilePath(__file__).parents[2]

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
        loaded.diagnostics,
        [
            (
                repr(document.data),
                document.invalid,
                document.position(()),
                document.section.text[document.begin : document.end],
                [document.position(path) for path in _items(document.data)],
            )
            for document in loaded.documents
        ],
    )


def _items(value: object, path: Path = ()) -> Iterator[Path]:
    """Yield where mappings stand in lists: their places are kept, others are looked for."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _items(part, (*path, key))
    elif isinstance(value, tuple):
        for index, part in enumerate(value):
            if isinstance(part, dict):
                yield (*path, index)
            yield from _items(part, (*path, index))


@given(st.lists(_TEXTS, min_size=1, max_size=4), st.integers(1, 12))
@settings(max_examples=400, deadline=None)
@example(["a: x\n  - y\n"], 12)
@example(["a:\n  - x\n    - y\n"], 12)
@example(["# only\n", "", "  ", "a: b"], 12)
@example(["--- # x\na: b\n", "  a: b\n---\n"], 12)
@example(["a: b\n---\n"], 12)
@example(["- a: 1\n  b: 2\n"], 12)
@example(["a: .5\nb: nan\nc: 1.\n"], 12)
@example(["%YAML 1.2\n---\na: b\n", "a: b\n...\nc\n"], 12)
@example(["a: b\n", "a: b\n c: d\n"], 12)
@example(["---\na: b\n", "---\na: b\n---x\n"], 12)
@example(["a: b\n", "a: null\n"], 12)
@example(["a: 10:20:30:40:50:6\n", "a: 10:20:30:40:50:10\n"], 12)
def test_texts_are_read_as_if_each_was_the_first(texts: list[str], times: int) -> None:
    documents = [f"---\n{text}" if number else text for number, text in enumerate(texts * times)]
    files = [("all.yaml", "".join(documents).encode())]
    files += [(f"{number}.yaml", text.encode()) for number, text in enumerate(texts * times)]
    for file, loaded in zip(files, load_alike(files), strict=True):
        assert _shown(loaded) == _shown(load_file(*file)), file


_WORDS_OF_KIND = {
    "plain": ["a", "node-0713", "row 2  rack 7", "true story", "10.0.0.1/8", "/x"],
    "number": ["0", "17", "1e3", "007", "1.", "1.5", "12345678901234567890", "1-2"],
    "colons": ["t:1", "52:54:00:12:34:5a", "10:20:30:40:50:60:7", "1:30", "a::b c:d"],
    "line": ["a", "true, or", 'it\'s (c) - "x"', "17, 18 * 2; 50%?!", "計算ノード、三番"],
    "double": ["a", "null", "17", "[a", "- b: c # d", "it's"],
    "single": ["a", "true", "17", "{a", '"', "#"],
    "comment": ["", " 東京のラック", " x", " - a: b", "\t'\""],
}


@given(_TEXTS, st.data())
@settings(max_examples=600, deadline=None)
@example(RACK.split("---\n")[2], None)
@example("---\n" + RACK.split("---\n")[1], None)
def test_a_shape_holds_whatever_words_stand_in_its_places(
    text: str, drawn: st.DataObject | None
) -> None:
    pieces = cut(text)
    if pieces is None or not pieces.kinds:
        return
    try:
        shape = Shape(pieces)
    except UnlikeError:
        return
    choose = drawn.draw if drawn else lambda each: each.example()
    words = [
        choose(st.sampled_from(_WORDS_OF_KIND[kind])) if drawn else _WORDS_OF_KIND[kind][-1]
        for kind in pieces.kinds
    ]
    other = pieces.filled(words)
    found = shape.read(Section("f.yaml", f"{other}---\n", 0), 0, 0)
    assert found is not None, other
    document, end, line = found
    loaded = load_file("f.yaml", other.encode())
    (expected,) = loaded.documents
    assert not loaded.diagnostics
    assert (end, line) == (len(other), other.count("\n"))
    assert repr(document.data) == repr(expected.data)
    for path in _items(document.data):
        assert document.position(path) == expected.position(path)


@pytest.mark.parametrize("folder", ["tests/broken", "tests/transcripts", "examples"])
def test_every_file_at_hand_is_read_as_if_it_was_the_first(folder: str) -> None:
    paths = [path for path in (ROOT / folder).rglob("*.y*ml") if path.is_file()]
    assert paths
    files = [(str(path), path.read_bytes()) for path in paths] * 9
    for file, loaded in zip(files, load_alike(files), strict=True):
        assert _shown(loaded) == _shown(load_file(*file)), file[0]


def _shape(text: str) -> Shape:
    pieces = cut(text)
    assert pieces is not None
    return Shape(pieces)


def test_machines_that_differ_in_words_have_one_shape() -> None:
    machine = RACK.split("---\n")[2]
    other = (
        machine.replace("node-0713", "node-0714")
        .replace("52:54:00:12:34:56", "52-54-00-12-34-57")
        .replace("10.20.7.13/24", "10.20.7.14/24")
        .replace("no # comment", "yes # none")
        .replace("(row 2)", "(row 17), no port 5; see below")
    )
    shape = _shape(machine)
    for text in (machine, other):
        found = shape.read(Section("f.yaml", text, 0), 0, 0)
        assert found is not None
        (expected,) = load_file("f.yaml", text.encode()).documents
        assert repr(found[0].data) == repr(expected.data)


@pytest.mark.parametrize(
    "other",
    [
        "a: [x, true]\nb: 1\n",  # another type
        "a: [x, null]\nb: 1\n",
        "a: [x, y: z]\nb: 1\n",
        "a: [x, &y z]\nb: 1\n",
        "a: [x, 'y']\nb: 1\n",
        "a: [x, y]\nb: z\n",
        "a: [x, y]\nb: 1\nc: d\n",
        "a: [x, y]\nb: 1\n  2\n",
        "a: [x, y]\nb: 1\n---2\n",
        "a: [x, y]\nb: 1",
        "a: [x, y, z]\nb: 1\n",
        "a: [x, é]\nb: 1\n",
        "a: [x, \x07]\nb: 1\n",
    ],
)
def test_what_is_written_otherwise_is_of_another_shape(other: str) -> None:
    shape = _shape("a: [x, y]\nb: 1\n")
    assert shape.read(Section("f.yaml", "a: [v, w 2]\nb: 17\n", 0), 0, 0) is not None
    assert shape.read(Section("f.yaml", other, 0), 0, 0) is None


@pytest.mark.parametrize(
    "text",
    [
        "a: |\n  b: c\n",
        "a: b\n  c: d\n",
        "a: 'b\n  - c, d, e'\n",
        "a: [b: c]\n  d\n",
        'a: "\\" # b"\n',
        "{a, b}\n",
        "{a: b}: c\n",
        "a: b # c\n  d\n",
        "a: b\na: c\n",
        "- a\nb: c\n",
        "a: b\n---\nc: d\n",
        "# only\n",
        "- a\n  b\n",
        "a: !x#y\n",
    ],
)
def test_where_a_word_is_not_only_a_word_there_is_no_shape(text: str) -> None:
    with pytest.raises(UnlikeError):
        _shape(text)


@pytest.mark.parametrize("text", ["a: &x b\nc: *x\n", "a: b", "a: " + "b" * 9000 + "\n"])
def test_what_is_of_no_use_is_not_looked_at(text: str) -> None:
    assert cut(text) is None


def test_the_place_of_a_mapping_in_a_list_is_that_of_its_own_document() -> None:
    text = RACK.split("---\n")[1]
    files = [(f"{number}.yaml", f"# x\n---\n{text}".encode()) for number in range(12)]
    (document,) = list(load_alike(files))[-1].documents
    assert [(line, column) for _, line, column in document.items.values()] == [(8, 6)]
    assert str(document.position(("spec", "assign", 0))) == "11.yaml:9:7"


def test_places_in_a_later_document_are_those_of_the_file() -> None:
    *_, loaded = load_alike([("f.yaml", RACK.encode())] * 12)
    rack, machine = loaded.documents
    assert rack.position(("spec", "assign", 0)).line == 9
    assert str(machine.position(("spec", "hardware", "macs", 1))) == "f.yaml:21:33"
    assert machine.written(("spec", "numbers", 3)) == "007x"


def test_no_text_takes_long_to_be_cut() -> None:
    for text in (": " + "x - " * 2000 + "%", "[a, " * 2000, "'- 'a" * 1600, '"a, ' * 2000):
        assert cut(f"{text}\n") is not None
    assert cut(": " + "x - " * 500_000 + "&\n") is None


def test_files_that_are_large_together_are_read_as_by_events() -> None:
    one = RACK.encode()
    files = [(f"{number}.yaml", one) for number in range(WORTH_LEARNING // len(one) + 1)]
    loaded = list(load_files(files))
    assert [each.documents[0].file for each in loaded] == [name for name, _ in files]
    assert _shown(loaded[-1]) == _shown(load_file(*files[-1]))
