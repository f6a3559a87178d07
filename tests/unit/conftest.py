"""What the unit tests share."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.git_repository import GitRepository


@pytest.fixture(autouse=True)
def no_log_handler_is_left() -> Iterator[None]:
    """Remove what a program that ran inside a test logs to: its stream ends with the test."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.setLevel(level)
    for handler in list(root.handlers):
        if handler not in before:
            root.removeHandler(handler)


@pytest.fixture
def git_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitRepository:
    """Return an empty repository with a working tree in ``tmp_path / "fleet"``."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_AUTHOR_NAME": "Jane Doe",
        "GIT_AUTHOR_EMAIL": "jane@example.org",
        "GIT_AUTHOR_DATE": "1793696520 +0900",
        "GIT_COMMITTER_NAME": "Jane Doe",
        "GIT_COMMITTER_EMAIL": "jane@example.org",
    }.items():
        monkeypatch.setenv(name, value)
    return GitRepository(tmp_path / "fleet")
