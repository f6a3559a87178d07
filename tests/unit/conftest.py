"""What the unit tests share."""

import os
from pathlib import Path

import pytest

from tests.unit.git_repository import GitRepository


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
