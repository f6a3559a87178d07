"""Each durable write has a failpoint that the crash tests try, and only a test acts there."""

import ast
import errno
import re
from pathlib import Path

import pytest
from builders.failing_server import disk_full
from builders.failpoints_of_source import KILLED_AT, NOT_KILLED_AT, ROOT, writers
from sqlalchemy import text

from agent import failpoint
from agent.errors import UnwritableFileError
from agent.whole_file import create_atomically, write_atomically
from reconciler.errors import StateError
from reconciler.state.database import open_database
from tests.unit.test_house_files import OTHER_WRITERS

SERVER = ("reconciler", "providers/imaging", "providers/netboot", "providers/power")
WITHOUT = re.compile(
    r"a lock|a log|a database|memory|temporary folder|out of use|a person asked for"
)
"""What of the house's list of other writers need not survive: the database there is a cache, and
what is out of use is found again. A person who asked for something sees whether it is there."""
EFFECTS = ("wake", "_test")
"""What the server asks of the world outside, in ``reconciler.server.service.Service``."""


def test_every_durable_write_of_the_server_is_one_that_crash_tests_know():
    known = {**KILLED_AT, **dict.fromkeys(NOT_KILLED_AT, "")}
    assert set(writers(*SERVER)) - set(known) == set()
    assert set(known) - set(writers(*SERVER)) == {"service.Service.wake", "service.Service._test"}


def test_whatever_else_gives_a_file_its_name_has_a_failpoint():
    of_server = {name: why for name, why in OTHER_WRITERS.items() if name.startswith(SERVER)}
    named = [name for name, why in of_server.items() if not WITHOUT.search(why.split("; ")[0])]
    assert named == ["providers/imaging/store.py"]
    for name in named:
        assert 'failpoint("' in (ROOT / name).read_text(), name


def test_only_one_module_opens_the_state_database():
    opening = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "reconciler").rglob("*.py")
        if re.search(r"create_engine\(|sqlite3\.connect\(", path.read_text())
    }
    assert opening == {"reconciler/state/database.py", "reconciler/compiled/cache.py"}


def test_what_the_server_asks_of_the_world_has_a_failpoint_before_and_after():
    tree = ast.parse((ROOT / "reconciler/server/service.py").read_text())
    functions = {
        node.name: ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    for name in EFFECTS:
        assert functions[name].count("failpoint('") == 2


def test_nothing_in_the_program_sets_what_happens_at_a_failpoint():
    assert failpoint.watch is None
    setting = [
        path.name
        for package in ("agent", "providers", "reconciler", "specs")
        for path in (ROOT / package).rglob("*.py")
        if "failpoint" in path.read_text()
        and re.search(r"failpoint import .*watch|failpoint\.watch|global watch", path.read_text())
    ]
    assert setting == []
    module = ast.parse(Path(failpoint.__file__).read_text())
    imported = [ast.unparse(node) for node in module.body if isinstance(node, ast.ImportFrom)]
    assert imported == ["from collections.abc import Callable"]


@pytest.fixture
def full_at(monkeypatch):
    """Let the disk be full at one failpoint."""

    def fail(name):
        def watch(reached, _what):
            if reached == name:
                raise disk_full(name)

        monkeypatch.setattr(failpoint, "watch", watch)

    return fail


@pytest.mark.parametrize("write", [write_atomically, create_atomically])
def test_a_file_that_has_no_room_is_not_there_in_part(tmp_path, full_at, write):
    full_at("file.before")
    with pytest.raises(UnwritableFileError, match="No space left on device") as caught:
        write(tmp_path / "file", b"content")
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_a_transaction_that_has_no_room_is_not_there_in_part(tmp_path, full_at):
    database = open_database(tmp_path / "rackwright.db")
    full_at("transaction.before")
    with (
        pytest.raises(StateError, match=r"RW706: .* cannot be written: database or disk is full"),
        database.writing() as connection,
    ):
        connection.execute(text("INSERT INTO quarantine VALUES ('a', 'a', 'a', 'a', 'a')"))
    with database.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM quarantine")).scalar() == 0
    database.close()
