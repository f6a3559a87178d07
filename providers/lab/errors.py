"""Errors of the virtual rack, RW801 to RW829.

TerminalError     RW801 program missing · RW802 firmware missing · RW803 not root ·
                  RW804 bad rack file · RW805 unknown machine · RW806 already up ·
                  RW807 not up · RW808 no space left · RW809 command failed ·
                  RW810 supervisor did not start · RW811 disk of another recipe ·
                  RW813 machine did not obey · RW814 bad request · RW815 network in use ·
                  RW816 simulated rack ended
"""

import difflib
from collections.abc import Iterable
from pathlib import Path

from agent.errors import TerminalError

_TAIL_LINES = 15


def program_missing(program: str, package: str) -> TerminalError:
    """Return RW801: a program that the rack runs is not installed."""
    return TerminalError(
        "RW801", f"{program} is not installed", f"Install it: apt install {package}"
    )


def firmware_missing(path: Path, package: str) -> TerminalError:
    """Return RW802: a firmware image or a signed boot loader is not installed."""
    return TerminalError("RW802", f"{path} does not exist", f"Install it: apt install {package}")


def machine_unknown(name: str, names: Iterable[str]) -> TerminalError:
    """Return RW805: a machine that the rack does not have, with the nearest names."""
    known = sorted(names)
    near = difflib.get_close_matches(name, known, n=3) or known
    return TerminalError(
        "RW805",
        f"the rack has no machine {name!r}",
        f"Name one of its machines, such as {', '.join(near)}",
    )


def not_up(directory: Path) -> TerminalError:
    """Return RW807: no supervisor answers in the directory."""
    return TerminalError(
        "RW807",
        f"no rack is up in {directory}",
        "Start one (rackwright lab up), or name its directory with --dir",
    )


def no_space(path: Path, detail: str) -> TerminalError:
    """Return RW808: the file system of a disk image is full."""
    return TerminalError(
        "RW808",
        f"no space is left for {path}: {detail}",
        "Free some space there, or give a directory on another file system with --dir or --cache",
    )


def command_failed(program: str, status: int, output: str) -> TerminalError:
    """Return RW809: a command that the rack runs ended with an error; with its last lines."""
    return TerminalError(
        "RW809",
        f"{program} failed with exit status {status}",
        f"Its last words were:{_indented_tail(output)}",
    )


def supervisor_failed(log: Path, output: str) -> TerminalError:
    """Return RW810: the supervisor ended before the rack stood."""
    return TerminalError(
        "RW810",
        "the rack's supervisor ended while it started",
        f"Read {log}, which ends with:{_indented_tail(output)}",
    )


def machine_disobeyed(machine: str, request: str, detail: str) -> TerminalError:
    """Return RW813: QEMU ended or refused what it was asked."""
    return TerminalError(
        "RW813",
        f"{machine}: {request} failed: {detail}",
        f"Look at its console (rackwright lab console {machine}) and at supervisor.log",
    )


def bad_request(detail: str) -> TerminalError:
    """Return RW814: the supervisor does not understand what it was asked."""
    return TerminalError(
        "RW814",
        f"the rack's supervisor cannot do this: {detail}",
        "Use the same version of rackwright that started the rack",
    )


def simulated_rack_ended(log: Path, output: str) -> TerminalError:
    """Return RW816: the process that has the simulated machines did not start, or is gone."""
    return TerminalError(
        "RW816",
        "the process of the simulated machines has ended",
        f"Read {log}, which ends with:{_indented_tail(output)}",
    )


def _indented_tail(text: str) -> str:
    lines = text.strip().splitlines()[-_TAIL_LINES:] or ["(nothing)"]
    return "".join(f"\n  {line.rstrip()}" for line in lines)
