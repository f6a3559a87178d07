"""One layout for YAML: spaces move, meaning and comments do not."""

from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.compat import StringIO

from reconciler.authoring.layout import laid_out
from reconciler.authoring.rewrite import AuthoringError, UnreadableFileError, rewritten
from reconciler.authoring.starter_fleet import starter_fleet
from specs.yaml import load_file

EXAMPLE = Path(__file__).parents[2] / "examples" / "lab" / "fleet"
MESSY = """\


# first
a:\x20\x20
-  b:    1   # beside
# before c
   c: [1,2 ,
      "3" , {a : 1,b: 2},
   ]
   # ends the item
- |
   literal

      deeper
     # ends the list
# before d
d: "x
 y"


f:
      # deep
      g: |2
          xx
         y
      h: >+
         kept


i: !secret  bmc/rack
...
---
x: &a   {k: 1}
y:   *a


# last
"""
TIDY = """\
# first
a:
  - b: 1   # beside
    # before c
    c: [1, 2,
       "3", {a: 1, b: 2},
    ]
    # ends the item
  - |
    literal

       deeper
      # ends the list
# before d
d: "x
  y"

f:
  # deep
  g: |2
      xx
     y
  h: >+
    kept


i: !secret bmc/rack
...
---
x: &a {k: 1}
y: *a

# last
"""


def meaning(text: str) -> list[object]:
    loaded = load_file("f.yaml", text.encode())
    assert not [problem for problem in loaded.diagnostics if problem.severity == "error"]
    return [document.data for document in loaded.documents]


def test_a_messy_file_becomes_tidy() -> None:
    assert laid_out(MESSY) == TIDY
    assert meaning(MESSY) == meaning(TIDY)


@pytest.mark.parametrize("file", sorted(EXAMPLE.glob("*.yaml")), ids=lambda file: file.name)
def test_the_examples_have_the_layout(file: Path) -> None:
    assert laid_out(file.read_text()) == file.read_text()


def test_a_new_fleet_has_the_layout() -> None:
    for path, text in starter_fleet("lab").items():
        if path.endswith(".yaml"):
            assert laid_out(text) == text


def test_line_ends_become_lf_and_the_last_line_has_one() -> None:
    assert rewritten("f.yaml", b"\xef\xbb\xbfa: 1\r\nb:\r\n    c: 2", laid_out) == (
        b"a: 1\nb:\n  c: 2\n"
    )


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment", "---\n", "a: 1", "- 1\n- 2"])
def test_small_texts_keep_what_they_say(text: str) -> None:
    once = laid_out(text)
    assert laid_out(once) == once
    assert meaning(once) == meaning(text)


def test_a_comment_belongs_to_the_block_that_it_ends() -> None:
    text = "a:\n    b:\n        c: 1\n        # of b\n    # of a\n# of the document\n"
    assert laid_out(text) == "a:\n  b:\n    c: 1\n    # of b\n  # of a\n# of the document\n"


def test_a_broken_file_is_refused_with_its_problems() -> None:
    with pytest.raises(UnreadableFileError) as caught:
        rewritten("f.yaml", b"a: [1\nb: 2\n", laid_out)
    assert caught.value.code == "RW930"
    assert caught.value.cause == "f.yaml has 1 error(s) and was left as it is"
    assert [str(problem.position) for problem in caught.value.diagnostics] == ["f.yaml:1:4"]


@pytest.mark.parametrize(
    "new", ["a: 2", "a: '1'", "a: true", "a: 1\nb: 1", "a: 1\n---\na: 1", "a: ["]
)
def test_an_edit_that_would_change_the_meaning_is_refused(new: str) -> None:
    with pytest.raises(AuthoringError) as caught:
        rewritten("f.yaml", b"a: 1\n", lambda _: new)
    assert caught.value.code == "RW931"
    assert caught.value.cause == (
        "f.yaml would say something else afterwards, so it was left as it is"
    )


def test_an_invisible_line_end_is_refused() -> None:
    for text in ('a: "x\u2028y"\n', "# x\u2029\na: 1\n", "a: x\x85y\n"):
        with pytest.raises(UnreadableFileError, match=r"RW930: f\.yaml has 1 error") as caught:
            rewritten("f.yaml", text.encode(), laid_out)
        assert [problem.code for problem in caught.value.diagnostics] == ["RW104"]


words = st.sampled_from(
    [
        "a",
        "b: c",
        "007",
        "no",
        "1",
        "x # y",
        "52:54:00:77:00:11",
        "",
        "two\nlines",
        "  in\n",
        "- x",
        "😀",
    ]
)
values = st.recursive(
    words,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(["a", "b", "c d", "1"]), inner, max_size=4),
    ),
    max_leaves=15,
)


def comments(text: str) -> list[str]:
    """Return the comments that ``commented`` put in."""
    return [line.strip() for line in text.split("\n") if line.strip().startswith("#!")]


@given(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), values, min_size=1),
    st.sampled_from([(2, 2, 0), (2, 4, 2), (4, 4, 0), (4, 6, 3), (3, 5, 2), (8, 8, 4)]),
    st.integers(min_value=20, max_value=100),
    st.data(),
)
@settings(deadline=None, max_examples=150)
def test_any_document_keeps_its_data_and_its_comments(
    value: object, indent: tuple[int, int, int], width: int, data: st.DataObject
) -> None:
    writer = YAML()
    writer.indent(mapping=indent[0], sequence=indent[1], offset=indent[2])
    writer.width = width
    out = StringIO()
    writer.dump(value, out)
    lines = out.getvalue().split("\n")
    where = data.draw(st.integers(min_value=0, max_value=len(lines)))
    column = data.draw(st.integers(min_value=0, max_value=9))
    lines[where:where] = ["", "", " " * column + f"#! {where}", ""]
    text = "\n".join(lines)
    loaded = load_file("f.yaml", text.encode())
    assume(not [problem for problem in loaded.diagnostics if problem.severity == "error"])
    once = laid_out(text)
    assert meaning(once) == meaning(text)
    assert comments(once) == comments(text)
    assert laid_out(once) == once


PIECES = [
    *("---\n", "...\n", "&a ", "*a", "!secret ", "? ", ": ", "- ", "[", "]", "{", "}", ",", "#c\n"),
    *(
        "'",
        '"',
        "|\n",
        ">-\n",
        "|1+\n",
        "\t",
        "\r\n",
        "\n",
        "\n\n",
        "  ",
        " ",
        "    ",
        "a",
        "b",
        "1",
    ),
]


@given(st.lists(st.sampled_from(PIECES), max_size=30))
@settings(deadline=None, max_examples=300)
def test_whatever_a_file_holds_it_keeps_its_meaning_or_is_refused(pieces: list[str]) -> None:
    data = "".join(pieces).encode()
    try:
        new = rewritten("f.yaml", data, laid_out)
    except AuthoringError as error:
        assert error.code in {"RW930", "RW931"}  # noqa: PT017 - both outcomes are fine
        return
    assert meaning(new.decode()) == meaning(data.decode().removeprefix("\ufeff"))
    assert rewritten("f.yaml", new, laid_out) == new
