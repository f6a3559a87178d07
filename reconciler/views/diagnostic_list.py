"""The problems of a repository as a terminal, a pipe and a program read them."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from specs.diagnostics.diagnostic import Diagnostic

FORMAT = "rackwright-problems/1"
MOST_SHOWN = 100
"""Problems that a person is shown. Who lost a file may have thousands of the same cause."""

_COLOURS = {"error": "red", "warning": "yellow"}
_HINT_INDENT = 4


def shown(
    diagnostics: Sequence[Diagnostic], most: int = MOST_SHOWN
) -> tuple[tuple[Diagnostic, ...], str]:
    """Return at most ``most`` problems in their order, and what is said of the others.

    Warnings give way to errors. Nothing is said where all are shown.
    """
    errors_first = sorted(diagnostics, key=lambda problem: problem.severity != "error")
    chosen = {id(problem) for problem in errors_first[:most]}
    left = set(diagnostics).difference(errors_first[:most])
    files = len({problem.position.file for problem in left})
    rest = f"and {len(left):,} more in {files:,} file(s): rackwright validate --format json has all"
    listed = tuple(problem for problem in diagnostics if id(problem) in chosen)
    return listed, rest if left else ""


def plain(diagnostics: Sequence[Diagnostic], most: int = MOST_SHOWN) -> str:
    """Return the problems as lines without colours, the last one about those left out."""
    listed, rest = shown(diagnostics, most)
    return "\n".join(filter(None, (*map(str, listed), rest)))


def count(diagnostics: Sequence[Diagnostic]) -> str:
    """Return how many there are: ``2 error(s) and 1 warning(s)``."""
    numbers = [
        (severity, sum(problem.severity == severity for problem in diagnostics))
        for severity in ("error", "warning")
    ]
    return " and ".join(f"{number:,} {severity}(s)" for severity, number in numbers if number)


def print_problems(
    console: Console, diagnostics: Sequence[Diagnostic], most: int = MOST_SHOWN
) -> None:
    """Print the problems; on a terminal in colour and wrapped, else as lines of their own."""
    if not console.is_terminal:
        text = plain(diagnostics, most)
        if text:
            console.out(text, highlight=False)
        return
    listed, rest = shown(diagnostics, most)
    for problem in listed:
        console.print(_line(problem), overflow="fold")
        if problem.hint:
            hint = Text(f"hint: {problem.hint}", style="dim")
            console.print(Padding(hint, (0, 0, 0, _HINT_INDENT)))
    if rest:
        console.print(Text(rest, style="bold"))


def problems_document(diagnostics: Sequence[Diagnostic], revision: str) -> dict[str, Any]:
    """Return all problems for programs; ``docs/reference/validate.md`` describes the form."""
    return {
        "format": FORMAT,
        "revision": revision,
        "valid": not any(problem.severity == "error" for problem in diagnostics),
        "problems": [
            {**problem._asdict(), "position": problem.position._asdict()} for problem in diagnostics
        ],
    }


def _line(problem: Diagnostic) -> Text:
    line = Text(f"{problem.position}:", style="bold")
    colour = _COLOURS[problem.severity]
    line.append(f" {problem.code}", style=f"not bold {colour}")
    if problem.severity == "warning":
        line.append(" warning:", style=f"not bold {colour}")
    line.append(f" {problem.message}", style="not bold")
    return line
