"""What all tests share."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest


class GitRepository:
    """A repository in a test's own directory; the configuration of the computer has no say."""

    def __init__(self, path: Path, *options: str) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main", *options)

    def git(self, *arguments: str, standard_input: str = "") -> str:
        """Run git in the repository and return what it prints."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env=os.environ | {"GIT_COMMITTER_DATE": "1793696520 +0900"},
            input=standard_input,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Write files into the working tree."""
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, subject: str, files: Mapping[str, str | bytes]) -> str:
        """Write and commit files (and whatever else changed); return the commit's id."""
        self.write(files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={subject}")
        return self.git("rev-parse", "HEAD")


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
