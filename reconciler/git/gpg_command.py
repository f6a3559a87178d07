"""The gpg command: a key ring of its own for the keys that a document lists.

The user's key ring, configuration and trust have no say, nothing is looked up in the
network, and no agent is started that would outlive the call.
"""

import os
import subprocess
from pathlib import Path

from reconciler.errors import SourceError
from specs.fleet import CompiledSigner

_OPTIONS = "no-autostart\ndisable-dirmngr\nno-auto-key-retrieve\ntrust-model always\n"
_IMPORTED = "[GNUPG:] IMPORT_OK "


def make_home(directory: Path) -> None:
    """Make ``directory`` a home of gpg, readable by this user alone."""
    directory.mkdir(mode=0o700)
    (directory / "gpg.conf").write_text(_OPTIONS, encoding="ascii")


def import_key(home: Path, signer: CompiledSigner) -> tuple[str, ...]:
    """Add the signer's key to the ring; return the fingerprints of the primary keys in it.

    Raises ``SourceError`` RW738 when gpg finds no usable key.
    """
    done = subprocess.run(
        ["gpg", "--homedir", home, "--batch", "--no-tty", "--status-fd", "1", "--import"],
        input=signer.key.encode(),
        capture_output=True,
        env=os.environ | {"LC_ALL": "C"},
        check=False,
    )
    found = imported_fingerprints(done.stdout.decode(errors="replace"))
    if not found:
        raise SourceError(
            "RW738",
            f"gpg takes no key from what spec.commits.signers lists for {signer.name}",
            "List what this prints: gpg --armor --export KEY",
        )
    return found


def imported_fingerprints(output: str) -> tuple[str, ...]:
    """Return the keys that ``gpg --import --status-fd`` says are in the ring now."""
    return tuple(
        dict.fromkeys(
            line.split()[-1] for line in output.splitlines() if line.startswith(_IMPORTED)
        )
    )
