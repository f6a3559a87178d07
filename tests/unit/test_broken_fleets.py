"""The corpus of broken fleets: what is said about each mistake, word for word.

``RACKWRIGHT_UPDATE_BROKEN=1 pytest tests/unit/test_broken_fleets.py`` writes what is
said now into the cases; read the difference as somebody who is stuck would.
"""

import os
import tracemalloc

import pytest

from specs.compile.fleet import compile_fleet
from specs.diagnostics.codes import Code
from specs.yaml.section import MAX_FILE_BYTES
from tests.broken.case import BASE, Case, cases

UPDATE = "RACKWRIGHT_UPDATE_BROKEN"
FEWEST = 450
WITHOUT_CASE = {
    Code.FILE_TOO_LARGE,  # below, since 16 MiB are no file to read
    Code.TOO_MANY_PROBLEMS,  # likewise
    Code.NEVER_BEGINS,  # depends on the time: test_schedule_warnings
}
CASES = cases()


def said(case: Case) -> str:
    """Return what ``rackwright validate`` says about each problem."""
    return "".join(f"{problem}\n" for problem in compile_fleet(case.files, "r").diagnostics)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mistake_is_explained_word_for_word(case: Case) -> None:
    if os.environ.get(UPDATE):
        case.expect(said(case))
        return
    assert said(case) == case.expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_mistake_makes_one_problem(case: Case) -> None:
    diagnostics = compile_fleet(case.files, "r").diagnostics
    assert len(diagnostics) == 1 or (diagnostics and case.may_make_several_problems)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_error_says_what_to_do(case: Case) -> None:
    assert [each for each in compile_fleet(case.files, "r").diagnostics if not each.hint] == []


def test_without_its_mistake_the_repository_is_sound() -> None:
    result = compile_fleet(BASE, "r")
    assert result.diagnostics == ()
    assert result.fleet is not None


def test_every_code_has_a_case() -> None:
    said_codes = {
        problem.code for case in CASES for problem in compile_fleet(case.files, "r").diagnostics
    }
    assert set(Code) - said_codes <= WITHOUT_CASE


def test_the_corpus_does_not_shrink() -> None:
    assert len(CASES) >= FEWEST


def test_a_file_too_large_is_refused_quickly_and_its_names_are_not_called_unknown() -> None:
    large = b"# a\n" * (MAX_FILE_BYTES // 4 + 1)
    uses = (
        b"apiVersion: rackwright/v1alpha1\nkind: Group\nmetadata: {name: a}\nspec: {network: b}\n"
    )
    tracemalloc.start()
    diagnostics = compile_fleet({**BASE, "large.yaml": large, "uses.yaml": uses}, "r").diagnostics
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [str(problem) for problem in diagnostics] == [
        (
            "large.yaml:1:1: RW106 the file has 16,777,220 bytes, at most 16,777,216 are read\n"
            "    hint: split it; documents may be spread over any number of files"
        )
    ]
    assert peak < len(large) / 8


def test_a_long_text_that_cannot_be_read_is_not_searched_for_names() -> None:
    words = " ".join(f"word{number}" for number in range(200_000))
    uses = (
        b"apiVersion: rackwright/v1alpha1\nkind: Group\nmetadata: {name: a}\nspec: {network: b}\n"
    )
    files = {**BASE, "long.yaml": f'a: "{words}\n'.encode(), "uses.yaml": uses}
    assert [problem.code for problem in compile_fleet(files, "r").diagnostics] == [Code.SYNTAX]
    short = {**files, "long.yaml": b'a: "word1\n'}
    codes = [problem.code for problem in compile_fleet(short, "r").diagnostics]
    assert codes == [Code.SYNTAX, Code.UNKNOWN_REFERENCE]


def test_a_document_full_of_mistakes_is_cut_short() -> None:
    fields = "".join(f"  a{number}: 1\n" for number in range(150))
    text = f"apiVersion: rackwright/v1alpha1\nkind: Image\nmetadata: {{name: a}}\nspec:\n{fields}"
    diagnostics = compile_fleet({**BASE, "wrong.yaml": text.encode()}, "r").diagnostics
    assert len(diagnostics) == 101
    assert str(diagnostics[0]) == (
        "wrong.yaml:1:1: RW132 50 more problems in this document\n    hint: solve the first ones"
    )
