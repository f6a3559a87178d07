"""The key pair that lets whoever owns the rack log in to its prepared disks."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from agent.whole_file import create_atomically


def public_key(private: Path) -> str:
    """Return the line for ``authorized_keys``; make the private key where there is none."""
    if not private.exists():
        made = Ed25519PrivateKey.generate()
        data = made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        create_atomically(private, data, 0o600)
    key = load_ssh_private_key(private.read_bytes(), password=None)
    text = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return f"{text} rack\n"
