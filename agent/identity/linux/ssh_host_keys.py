"""The SSH host keys of a cloned system: never those of the golden machine."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from agent.commands import ssh_keygen
from agent.identity.linux.image_tree import ImageTree
from agent.inspection.host_keys import fingerprint

_DIRECTORY = "/etc/ssh"
_KINDS = ("ecdsa", "ed25519", "rsa")
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


def replace_host_keys(tree: ImageTree, hostname: str) -> tuple[str, ...]:
    """Remove the image's host keys and install new ones; return their fingerprints, sorted.

    The keys are made here, so that their fingerprints are known before the machine is
    first connected to. Without ``ssh-keygen`` here, a unit makes them at the first boot,
    and there are no fingerprints to return.
    """
    for name in tree.list_names(_DIRECTORY, "ssh_host_*"):
        if _KEY_NAME.fullmatch(name):
            tree.remove(f"{_DIRECTORY}/{name}")
    if not ssh_keygen.is_available():
        tree.write(_UNIT_PATH, _UNIT_TEXT.encode())
        tree.link(f"/etc/systemd/system/multi-user.target.wants/{_UNIT}", _UNIT_PATH)
        return ()
    # Made outside the image and copied in: ssh-keygen would follow the image's links.
    with TemporaryDirectory(prefix="rackwright-keys-") as directory:
        prints = [_make(tree, Path(directory), kind, hostname) for kind in _KINDS]
    return tuple(sorted(prints))


def _make(tree: ImageTree, directory: Path, kind: str, hostname: str) -> str:
    name = f"ssh_host_{kind}_key"
    private = directory / name
    public = directory / f"{name}.pub"
    ssh_keygen.make_key(kind, private, f"root@{hostname}")
    tree.write(f"{_DIRECTORY}/{name}", private.read_bytes(), 0o600)
    tree.write(f"{_DIRECTORY}/{name}.pub", public.read_bytes(), 0o644)
    return fingerprint(public.read_text("ascii"))
