"""The SSH host keys of a cloned system: never those of the golden machine."""

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import field, frozen

from agent.commands import ssh_keygen
from agent.identity.linux.image_tree import ImageTree
from agent.inspection.host_keys import fingerprint

_DIRECTORY = "/etc/ssh"
KINDS = ("ecdsa", "ed25519", "rsa")
_KEY_NAME = re.compile(r"ssh_host_.+_key(\.pub|-cert\.pub)?")
_UNIT = "rackwright-ssh-host-keys.service"
_UNIT_PATH = f"/etc/systemd/system/{_UNIT}"

_UNIT_TEXT = """\
[Unit]
Description=Make the SSH host keys of this machine
ConditionPathExistsGlob=!/etc/ssh/ssh_host_*_key
Before=ssh.service sshd.service ssh.socket sshd.socket

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A

[Install]
WantedBy=multi-user.target
"""


@frozen
class HostKey:
    """A key pair of one kind, such as ``ed25519``, as OpenSSH keeps it."""

    kind: str
    private: bytes = field(repr=False)
    public: bytes

    @property
    def fingerprint(self) -> str:
        """Return the public key's fingerprint as ``ssh-keygen -l`` shows it."""
        return fingerprint(self.public.decode("ascii"))


NO_KEYS = tuple(HostKey(kind, b"", b"") for kind in KINDS)
"""Empty files in the places of keys, for trying whether keys can be put there."""


def make_host_keys(hostname: str) -> tuple[HostKey, ...]:
    """Return a new key of each kind; none where there is no ``ssh-keygen`` here.

    They are made outside the image and copied in: ssh-keygen would follow the image's links.
    """
    if not ssh_keygen.is_available():
        return ()
    with TemporaryDirectory(prefix="rackwright-keys-") as directory:
        return tuple(_make(Path(directory), kind, hostname) for kind in KINDS)


def replace_host_keys(tree: ImageTree, keys: Sequence[HostKey]) -> tuple[str, ...]:
    """Remove the image's host keys and install new ones; return their fingerprints, sorted.

    The keys are made before, so that their fingerprints are known before the machine is
    first connected to. Without any, a unit makes them at the first boot, and there are no
    fingerprints to return.
    """
    for name in tree.list_names(_DIRECTORY, "ssh_host_*"):
        if _KEY_NAME.fullmatch(name):
            tree.remove(f"{_DIRECTORY}/{name}")
    if not keys:
        tree.write(_UNIT_PATH, _UNIT_TEXT.encode())
        tree.link(f"/etc/systemd/system/multi-user.target.wants/{_UNIT}", _UNIT_PATH)
        return ()
    for key in keys:
        name = f"ssh_host_{key.kind}_key"
        tree.write(f"{_DIRECTORY}/{name}", key.private, 0o600)
        tree.write(f"{_DIRECTORY}/{name}.pub", key.public, 0o644)
    return tuple(sorted(key.fingerprint for key in keys))


def _make(directory: Path, kind: str, hostname: str) -> HostKey:
    path = directory / kind
    ssh_keygen.make_key(kind, path, f"root@{hostname}")
    return HostKey(kind, path.read_bytes(), path.with_name(f"{kind}.pub").read_bytes())
