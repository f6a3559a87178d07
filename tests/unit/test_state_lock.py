"""One server for one state directory, and commands that look whether there is one."""

import fcntl
import os
import threading

import pytest

from reconciler.errors import ReconcilerError
from reconciler.server import state_lock
from reconciler.server.state_lock import is_served, locked_state


def test_a_directory_is_served_while_its_lock_is_held(tmp_path):
    with locked_state(tmp_path) as lock:
        assert is_served(tmp_path)
        assert is_served(tmp_path)
        lock.seek(0)
        assert lock.read() == str(os.getpid())
    assert not is_served(tmp_path)


def test_a_look_at_a_directory_that_never_was_served_creates_nothing(tmp_path):
    assert not is_served(tmp_path / "mistyped")
    assert not list(tmp_path.iterdir())


def test_a_second_server_is_told_who_serves(tmp_path, monkeypatch):
    monkeypatch.setattr(state_lock, "WAIT_SECONDS", 0)
    with locked_state(tmp_path), pytest.raises(ReconcilerError) as raised:
        locked_state(tmp_path)
    assert raised.value.code == "RW903"
    assert raised.value.cause == f"process {os.getpid()} serves {tmp_path} already"


def test_a_server_that_starts_while_a_command_looks_waits_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr(state_lock, "WAIT_SECONDS", 60)
    locked_state(tmp_path).close()
    with (tmp_path / "server.lock").open("rb") as looks:
        fcntl.flock(looks, fcntl.LOCK_SH)
        # A second look is not hindered by the first.
        assert not is_served(tmp_path)
        got = []
        server = threading.Thread(target=lambda: got.append(locked_state(tmp_path)))
        server.start()
        server.join(0.1)
        assert not got
        fcntl.flock(looks, fcntl.LOCK_UN)
        server.join()
    assert is_served(tmp_path)
    got[0].close()
