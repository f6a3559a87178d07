"""The corpus of broken fleets: what is said about each mistake, word for word.

``RACKWRIGHT_UPDATE_BROKEN=1 pytest tests/unit/test_broken_fleets.py`` writes what is
said now into the cases; read the difference as somebody who is stuck would.
"""

import os

import pytest

from specs.catalogue import CATALOGUE
from specs.code import Code
from specs.compile import compile_fleet
from tests.broken.case import BASE, Case, cases

UPDATE = "RACKWRIGHT_UPDATE_BROKEN"
FEWEST = 260
WITHOUT_CASE = {
    Code.FILE_TOO_LARGE,  # below, since 16 MiB are no file to read
    Code.TOO_MANY_PROBLEMS,  # likewise
    Code.KIND_NOT_SUPPORTED,  # no kind stays unsupported for long
}
CASES = cases()


def said(case: Case) -> str:
    """Return what ``rackwright validate`` says about each problem."""
    return "".join(f"{problem}\n" for problem in compile_fleet(case.files, "r").problems)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mistake_is_explained_word_for_word(case: Case) -> None:
    if os.environ.get(UPDATE):
        case.expect(said(case))
        return
    assert said(case) == case.expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_mistake_makes_one_problem(case: Case) -> None:
    problems = compile_fleet(case.files, "r").problems
    assert len(problems) == 1 or (problems and case.may_make_several_problems)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_error_says_what_to_do(case: Case) -> None:
    assert [each for each in compile_fleet(case.files, "r").problems if not each.hint] == []


def test_without_its_mistake_the_repository_is_sound() -> None:
    result = compile_fleet(BASE, "r")
    assert result.problems == ()
    assert result.fleet is not None


def test_every_code_has_a_case() -> None:
    said_codes = {
        problem.code for case in CASES for problem in compile_fleet(case.files, "r").problems
    }
    assert set(CATALOGUE) - said_codes <= WITHOUT_CASE


def test_the_corpus_does_not_shrink() -> None:
    assert len(CASES) >= FEWEST
