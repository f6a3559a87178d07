"""Who gives a command: what the operating system says, whatever the environment does."""

import os
import pwd

import pytest

from reconciler.cli.login import login


@pytest.fixture(autouse=True)
def _misleading_environment(monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "mallory")


def test_the_login_that_the_kernel_recorded_counts(tmp_path):
    recorded = tmp_path / "loginuid"
    recorded.write_text("1\n")
    assert login(recorded) == pwd.getpwuid(1).pw_name


@pytest.mark.parametrize("content", [None, "4294967295", "", "x"])
def test_where_nobody_logged_in_it_is_the_user_of_the_process(tmp_path, content):
    recorded = tmp_path / "loginuid"
    if content is not None:
        recorded.write_text(content)
    assert login(recorded) == pwd.getpwuid(os.getuid()).pw_name


def test_a_user_without_a_name_is_a_number(tmp_path):
    recorded = tmp_path / "loginuid"
    recorded.write_text("987654")
    assert login(recorded) == "uid-987654"
