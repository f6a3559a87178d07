"""Keys as people have them, and a fleet's repository whose commits they sign."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.unit.git_repository import GitRepository

FLEET = """\
apiVersion: rackwright/v1alpha1
kind: Fleet
metadata: {name: lab}
"""


class SshKey:
    """One key of ssh-keygen(1), without passphrase."""

    kind = "ssh"

    def __init__(self, directory: Path, name: str, algorithm: str = "ed25519") -> None:
        self.name = name
        self.path = directory / f"{name}.key"
        subprocess.run(
            ["ssh-keygen", "-q", "-t", algorithm, "-N", "", "-C", name, "-f", self.path], check=True
        )
        self.public = Path(f"{self.path}.pub").read_text("ascii").strip()

    @property
    def options(self) -> list[str]:
        """What makes git sign with it."""
        return ["-c", "gpg.format=ssh", "-c", f"user.signingKey={self.path}"]


class GpgKey:
    """One key of gpg(1), without passphrase, in a home of its own."""

    kind = "gpg"

    def __init__(self, home: Path, name: str, *, made: str = "", lives: str = "1y") -> None:
        self.name = name
        self.home = home
        home.mkdir(mode=0o700)
        self.faked = ["--faked-system-time", made] if made else []
        subject = f"{name} <{name}@example.org>"
        self.gpg(
            *self.faked,
            "--passphrase",
            "",
            "--quick-generate-key",
            subject,
            "ed25519",
            "sign",
            lives,
        )
        self.public = self.gpg("--armor", "--export")

    def gpg(self, *arguments: str, text: str = "") -> str:
        """Run gpg with this key's home."""
        return subprocess.run(
            ["gpg", "--homedir", self.home, "--batch", "--quiet", *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    def revoke(self) -> None:
        """Revoke it, as its owner does with the certificate that gpg made beside the key."""
        [certificate] = (self.home / "openpgp-revocs.d").glob("*.rev")
        # gpg puts a colon before the first line, against accidents.
        self.gpg("--import", text=certificate.read_text("utf-8").replace(":-----", "-----"))
        self.public = self.gpg("--armor", "--export")

    @property
    def options(self) -> list[str]:
        """What makes git sign with it."""
        program = self.home / "signs"
        faked = " ".join(self.faked)
        program.write_text(f'#!/bin/sh\nexec gpg --homedir {self.home} {faked} "$@"\n', "ascii")
        program.chmod(0o700)
        signer = f"user.signingKey={self.name}@example.org"
        return ["-c", "gpg.format=openpgp", "-c", f"gpg.program={program}", "-c", signer]


Key = SshKey | GpgKey


@contextmanager
def gpg_homes() -> Iterator[Path]:
    """Give a directory for homes: a short path, since each holds a socket, and no agent stays."""
    directory = Path(tempfile.mkdtemp(prefix="rw-gpg-"))
    try:
        yield directory
    finally:
        for home in directory.iterdir():
            subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)
        shutil.rmtree(directory)


def fleet_document(signers: Sequence[Key]) -> str:
    """Return a Fleet document that lists the signers, of one kind; none verifies nothing."""
    if not signers:
        return FLEET
    lines = [f"{FLEET}spec:\n  commits:\n    verify: {signers[0].kind}\n    signers:\n"]
    for signer in signers:
        key = signer.public.replace("\n", "\n          ")
        lines.append(f"      - name: {signer.name}\n        key: |\n          {key}\n")
    return "".join(lines)


class SignedRepository(GitRepository):
    """A fleet's repository."""

    def signed(
        self,
        subject: str,
        by: Key | None,
        *,
        signers: Sequence[Key] | None = None,
        **files: str,
    ) -> str:
        """Commit, signed by ``by``; with ``signers``, list these from here on. Return the id."""
        self.write({f"{name}.yaml": text for name, text in files.items()})
        if signers is not None:
            self.write({"fleet.yaml": fleet_document(signers)})
        self.git("add", "--all")
        return self.commit_as(by, "--allow-empty", f"--message={subject}")

    def commit_as(self, by: Key | None, *arguments: str) -> str:
        """Run git commit, signed by ``by``; return the new commit's id."""
        options = [*by.options, "commit", "--gpg-sign"] if by else ["commit", "--no-gpg-sign"]
        self.git(*options, "--quiet", *arguments)
        return self.git("rev-parse", "HEAD")

    def with_content(self, commit: str, old: str, new: str) -> str:
        """Store a commit like ``commit`` with other text and the same signature; return its id."""
        done = subprocess.run(
            ["git", "cat-file", "commit", commit], cwd=self.path, capture_output=True, check=True
        )
        assert old.encode() in done.stdout
        stored = subprocess.run(
            ["git", "hash-object", "-t", "commit", "-w", "--stdin"],
            cwd=self.path,
            input=done.stdout.replace(old.encode(), new.encode(), 1),
            capture_output=True,
            check=True,
            env=os.environ,
        )
        return stored.stdout.decode().strip()
