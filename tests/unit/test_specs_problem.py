"""Problems, their order and their catalogue."""

from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostic, Diagnostics
from specs.diagnostics.position import Position
from specs.diagnostics.quote import quoted


def test_an_error_is_one_line_and_its_hint_another() -> None:
    problem = Diagnostic(
        Position("fleet/lab.yaml", 3, 7), Code.UNKNOWN_FIELD, "error", "what", "how to solve it"
    )
    assert str(problem) == "fleet/lab.yaml:3:7: RW124 what\n    hint: how to solve it"


def test_a_warning_says_so_and_an_empty_hint_is_left_out() -> None:
    problem = Diagnostic(Position("a.yaml", 1, 1), Code.EMPTY_DOCUMENT, "warning", "what", "")
    assert str(problem) == "a.yaml:1:1: RW107 warning: what"


def test_problems_are_ordered_by_place_and_the_same_one_is_kept_once() -> None:
    diagnostics = Diagnostics()
    for place in [("b", 1, 1), ("a", 10, 1), ("a", 9, 5), ("a", 9, 4), ("a", 9, 4)]:
        diagnostics.error(Position(*place), Code.SYNTAX, "what")
    found = [
        (each.position.file, each.position.line, each.position.column)
        for each in diagnostics.in_order()
    ]
    assert found == [("a", 9, 4), ("a", 9, 5), ("a", 10, 1), ("b", 1, 1)]


def test_warnings_alone_are_no_errors() -> None:
    diagnostics = Diagnostics()
    diagnostics.warning(Position("a", 1, 1), Code.EMPTY_DOCUMENT, "what")
    assert not diagnostics.has_errors
    diagnostics.error(Position("a", 1, 1), Code.SYNTAX, "what")
    assert diagnostics.has_errors


def test_quoted_text_is_short_and_cannot_steer_a_terminal() -> None:
    assert quoted("node-01") == '"node-01"'
    assert quoted("東京") == '"東京"'
    assert quoted("\x1b[31m") == '"\\u001b[31m"'
    assert quoted("a\u202eb") == '"a\\u202eb"'
    assert quoted("x" * 100) == '"' + "x" * 59 + '…"'
