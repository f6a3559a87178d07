"""A whole repository is checked by several processes where it is large, with the same result."""

import pytest

from reconciler.compiled import check
from reconciler.compiled.check import check_fleet
from reconciler.git.tree import SourceTree
from reconciler.views.busy import busy
from tests.unit.test_fleet_shards import files_of, machine

ROWS = [(number, "site/a", "db", "") for number in range(1, 6)]
UNQUOTED = machine(9, "site/a", "db").replace(
    '{macs: ["52:54:00:00:00:09"]}', "\n    macs:\n      - 10:20:30:40:50:10"
)


def found(files):
    return check_fleet(SourceTree("revision", files, {}, None))


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"m9.yaml": UNQUOTED.encode()},
        {"m9.yaml": machine(1, "site/a", "db").encode()},
        {"x.yaml": b"a: ["},
    ],
    ids=["sound", "with a warning", "with a conflict", "no YAML"],
)
def test_large_and_small_are_checked_alike(monkeypatch, more) -> None:
    files = files_of(ROWS) | more
    small = found(files)
    monkeypatch.setattr(check, "BYTES_WORTH_A_PROCESS", 1)
    monkeypatch.setattr("reconciler.compiled.compile.BYTES_WORTH_A_PROCESS", 1)
    monkeypatch.setattr("reconciler.compiled.compile.process_count", lambda _worth: 2)
    assert found(files) == small


def test_a_check_counts_what_it_found() -> None:
    checked = found(files_of(ROWS))
    assert (checked.sound, checked.machines, checked.scenarios) == (True, 6, 2)


def test_nothing_is_shown_where_nobody_looks(capsys) -> None:
    with busy("compiling 3 files"):
        pass
    assert capsys.readouterr().err == ""


def test_a_line_stands_on_a_terminal_and_goes(monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with busy("compiling 3 files"):
        assert capsys.readouterr().err == "compiling 3 files ..."
    assert capsys.readouterr().err == "\r\x1b[K"
