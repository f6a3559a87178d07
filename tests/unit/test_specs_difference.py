"""What changed in a file is read without what stayed where it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.yaml import load_file
from specs.yaml.difference import changed_files
from specs.yaml.load import WORTH_LEARNING, LoadedFile

_DOCUMENTS = ["a: b\n", "a: c\n", "b:\n  - c: d\n  - e\n", "# x\nc: |\n  --\n  x\n\n", "d: 'é'\n"]
_FILES = st.builds(
    lambda head, documents: head + "".join(f"---\n{each}" for each in documents),
    st.sampled_from(["", "# head\n", "a: b\n", "\n"]),
    st.lists(st.sampled_from(_DOCUMENTS), max_size=5),
)


def _shown(files) -> list[tuple[str, str]]:
    return [
        (str(document.position(())), repr(document.data))
        for each in files
        for document in each.documents
    ]


def _changed(before: str, after: str) -> tuple[list[LoadedFile], list[LoadedFile]]:
    old, new = changed_files({"f.yaml": before.encode()}, {"f.yaml": after.encode()})
    return list(old), list(new)


@given(_FILES, _FILES)
def test_what_is_left_out_is_in_both_and_in_the_same_place(before: str, after: str) -> None:
    old, new = map(_shown, _changed(before, after))
    was = _shown([load_file("f.yaml", before.encode())])
    becomes = _shown([load_file("f.yaml", after.encode())])
    assert set(old) <= set(was)
    assert set(new) <= set(becomes)
    assert set(was) - set(old) == set(becomes) - set(new)


def test_a_document_that_stayed_is_not_read_again() -> None:
    old, new = _changed("a: b\n---\nc: d\n---\ne: f\n", "a: b\n---\nc: x\n---\ne: f\n")
    assert _shown(old) == [("f.yaml:3:1", "{'c': 'd'}")]
    assert _shown(new) == [("f.yaml:3:1", "{'c': 'x'}")]


def test_documents_below_a_new_line_are_other_ones_since_their_places_are() -> None:
    old, new = _changed("a: b\n---\nc: d\n", "a: b\ne: f\n---\nc: d\n")
    assert _shown(old) == [("f.yaml:1:1", "{'a': 'b'}"), ("f.yaml:3:1", "{'c': 'd'}")]
    assert _shown(new) == [("f.yaml:1:1", "{'a': 'b', 'e': 'f'}"), ("f.yaml:4:1", "{'c': 'd'}")]


def test_what_is_wrong_with_a_changed_document_is_found_without_the_others() -> None:
    _, (new,) = _changed("a: b\n---\nc: d\n", 'a: "b\n---\nc: d\n')
    assert new.unreadable
    assert str(new.diagnostics[0].position).startswith("f.yaml:")


@pytest.mark.parametrize(
    "after", ["a: c\n...\n---\nc: d\n", "%YAML 1.2\n---\nc: d\n", "a: c\0\n---\nc: d\n"]
)
def test_a_file_whose_documents_only_a_parser_tells_apart_is_read_whole(after: str) -> None:
    before = "a: b\n---\nc: d\n"
    old, new = _changed(before, after)
    assert _shown(old) == _shown([load_file("f.yaml", before.encode())])
    assert _shown(new) == _shown([load_file("f.yaml", after.encode())])


def test_files_that_came_or_went_are_read_whole() -> None:
    old, new = changed_files({"gone.yaml": b"a: b\n"}, {"new.yaml": b"a: b\n---\nc: d\n"})
    assert _shown(old) == [("gone.yaml:1:1", "{'a': 'b'}")]
    assert len(_shown(new)) == 2


def test_where_much_changed_the_files_are_read_as_many_are() -> None:
    count = WORTH_LEARNING // 10
    before = "".join(f"---\na: b{number:05}\n" for number in range(count))
    after = before.replace("b", "c")
    old, new = _changed(before, after)
    assert (len(_shown(old)), len(_shown(new))) == (count, count)
