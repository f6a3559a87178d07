"""A Git repository that a test fills."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from reconciler.git.revision import find_revision
from reconciler.git.tree import SourceTree


def read_commit(repository: Path, ref: str) -> SourceTree:
    """Return the files of the commit that ``ref`` names."""
    return find_revision(repository, ref).read()


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
