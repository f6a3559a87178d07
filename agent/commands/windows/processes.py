"""tasklist.exe and taskkill.exe: what runs, and ending it with all that it started.

Source: Microsoft, "tasklist" and "taskkill" (Windows Commands). Of the comma-separated rows
the first two count: name and number.
"""

import csv

from attrs import frozen

from agent.commands.windows.host import Windows, console_text


@frozen
class Process:
    """A running process."""

    name: str
    number: int


def list_arguments() -> list[str]:
    """Return the command that prints all processes, comma-separated and without a head."""
    return ["tasklist.exe", "/fo", "csv", "/nh"]


def end_arguments(number: int) -> list[str]:
    """Return the command that ends a process with all that it started."""
    return ["taskkill.exe", "/t", "/f", "/pid", str(number)]


def parse_list(text: str) -> tuple[Process, ...]:
    """Return the processes; rows without a number are passed over."""
    rows = csv.reader(line for line in text.splitlines() if '"' in line)
    return tuple(
        Process(row[0], int(row[1])) for row in rows if len(row) > 1 and row[1].isdecimal()
    )


def processes(windows: Windows) -> tuple[Process, ...]:
    """Return what runs."""
    return parse_list(console_text(windows.run(list_arguments()).stdout))


def end(windows: Windows, number: int) -> bool:
    """End a process; return whether it was there and is ended."""
    return windows.run(end_arguments(number)).status == 0
