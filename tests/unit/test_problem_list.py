"""Problems as they are printed: plain in a pipe, in colour on a terminal, all of them as JSON."""

import io
import json
import re

from rich.console import Console

from reconciler.views.diagnostic_list import (
    count,
    plain,
    print_problems,
    problems_document,
    shown,
)
from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostic, Severity
from specs.diagnostics.position import Position


def problem(line: int, severity: Severity = "error", file: str = "a.yaml") -> Diagnostic:
    return Diagnostic(Position(file, line, 1), Code.BAD_VALUE, severity, f"wrong {line}", "mend it")


def printed(
    diagnostics: list[Diagnostic], *, terminal: bool, width: int = 80, most: int = 9
) -> str:
    stream = io.StringIO()
    print_problems(
        Console(
            file=stream,
            force_terminal=terminal,
            width=width,
            color_system="standard",
            no_color=False,
        ),
        diagnostics,
        most,
    )
    return stream.getvalue()


def test_a_pipe_gets_one_line_per_message_however_long() -> None:
    long = Diagnostic(Position("a.yaml", 1, 1), Code.BAD_VALUE, "error", "x " * 200, "[red]y[/red]")
    assert printed([long], terminal=False, width=40) == (
        f"a.yaml:1:1: RW128 {'x ' * 200}\n    hint: [red]y[/red]\n"
    )


def test_a_sound_repository_prints_no_problem() -> None:
    assert printed([], terminal=False) == ""
    assert printed([], terminal=True) == ""


def test_a_terminal_gets_colours_and_lines_that_fit() -> None:
    text = printed([problem(1), problem(2, "warning")], terminal=True, width=24)
    assert "\x1b[31m RW128\x1b[0m" in text
    assert "\x1b[33m RW128\x1b[0m" in text
    assert "\x1b[33mwarning:\x1b[0m" in text
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in text.splitlines()]
    assert lines == [
        "a.yaml:1:1: RW128 wrong",
        "1",
        "    hint: mend it",
        "a.yaml:2:1: RW128",
        "warning: wrong 2",
        "    hint: mend it",
    ]


def test_a_hint_stays_indented_where_it_is_wrapped() -> None:
    wrapped = Diagnostic(
        Position("a", 1, 1), Code.BAD_VALUE, "error", "wrong", "one two three four"
    )
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=18, color_system=None)
    print_problems(console, [wrapped])
    assert [line.rstrip() for line in stream.getvalue().splitlines()] == [
        "a:1:1: RW128 wrong",
        "    hint: one two",
        "    three four",
    ]


def test_what_a_repository_calls_a_thing_is_no_markup() -> None:
    odd = Diagnostic(Position("[bold]a[/bold].yaml", 1, 1), Code.BAD_VALUE, "error", "[/]", "[red]")
    text = printed([odd], terminal=True)
    assert "[bold]a[/bold].yaml:1:1:" in text
    assert "[/]" in text
    assert "[red]" in text


def test_beyond_the_limit_the_rest_is_counted() -> None:
    diagnostics = [problem(1), problem(2), problem(3, file="b.yaml"), problem(4, file="c.yaml")]
    assert plain(diagnostics, 2) == (
        "a.yaml:1:1: RW128 wrong 1\n    hint: mend it\n"
        "a.yaml:2:1: RW128 wrong 2\n    hint: mend it\n"
        "and 2 more in 2 file(s): rackwright validate --format json has all"
    )
    assert shown(diagnostics, 4)[1] == ""
    assert "and 2 more in 2 file(s)" in printed(diagnostics, terminal=True, most=2)


def test_warnings_give_way_to_errors_and_the_order_of_places_stays() -> None:
    diagnostics = [problem(1, "warning"), problem(2), problem(3, "warning"), problem(4)]
    assert [each.position.line for each in shown(diagnostics, 3)[0]] == [1, 2, 4]
    assert [each.position.line for each in shown(diagnostics, 2)[0]] == [2, 4]


def test_errors_and_warnings_are_counted_apart() -> None:
    assert count([problem(1), problem(2), problem(3, "warning")]) == "2 error(s) and 1 warning(s)"
    assert count([problem(3, "warning")]) == "1 warning(s)"
    assert count([problem(1)] * 1234) == "1,234 error(s)"


def test_json_has_all_problems_and_the_verdict() -> None:
    document = json.loads(json.dumps(problems_document([problem(1, "warning")] * 200, "rev")))
    assert len(document.pop("problems")) == 200
    assert document == {"format": "rackwright-problems/1", "revision": "rev", "valid": True}
    document = json.loads(json.dumps(problems_document([problem(7)], "rev")))
    assert document == {
        "format": "rackwright-problems/1",
        "revision": "rev",
        "valid": False,
        "problems": [
            {
                "position": {"file": "a.yaml", "line": 7, "column": 1},
                "code": "RW128",
                "severity": "error",
                "message": "wrong 7",
                "hint": "mend it",
            }
        ],
    }
