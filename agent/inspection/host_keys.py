"""The fingerprints of a system's SSH host keys."""

import base64
import binascii
import hashlib
from pathlib import Path


def fingerprint(public_key: str) -> str:
    """Return what ``ssh-keygen -l`` shows for a public key line, empty where it is none.

    SHA-256 over the key blob, base64 without padding (as OpenSSH prints it since 6.8).
    """
    words = public_key.split()
    if len(words) < 2:  # noqa: PLR2004 - type and blob
        return ""
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        return ""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def host_key_fingerprints(root: Path) -> tuple[str, ...]:
    """Return the fingerprints of ``etc/ssh/ssh_host_*_key.pub``, sorted."""
    found = []
    for path in (root / "etc/ssh").glob("ssh_host_*_key.pub"):
        try:
            found.append(fingerprint(path.read_text("ascii", errors="replace")))
        except OSError:
            continue
    return tuple(sorted(text for text in found if text))
