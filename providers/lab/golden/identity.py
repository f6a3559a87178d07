"""What one golden disk has for itself: names, keys and the UUIDs of its file systems."""

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.commands.ssh_keygen import host_keys_arguments
from providers.lab.command import run

_HOST_KEYS = "ssh_host_*"


@dataclass(frozen=True, slots=True)
class DiskIdentity:
    """Everything that differs between two disks of one recipe, but for the ssh host keys."""

    hostname: str
    machine_id: str
    root_uuid: str
    esp_volume_id: str
    """8 hexadecimal digits, as mkfs.fat takes them."""
    authorized_key: str
    """The public key that may log in as root; the password is locked."""

    @classmethod
    def random(cls, hostname: str, authorized_key: str) -> "DiskIdentity":
        """Return an identity that no other disk has."""
        return cls(
            hostname, uuid.uuid4().hex, str(uuid.uuid4()), secrets.token_hex(4), authorized_key
        )

    def files(self, *, with_esp: bool) -> Mapping[str, str]:
        """Return absolute path → content of the files that carry the identity."""
        fstab = f"UUID={self.root_uuid} / ext4 errors=remount-ro 0 1\n"
        if with_esp:
            esp = f"{self.esp_volume_id[:4]}-{self.esp_volume_id[4:]}".upper()
            fstab += f"UUID={esp} /boot/efi vfat umask=0077,noauto 0 0\n"
        return {
            "/etc/fstab": fstab,
            "/etc/hostname": f"{self.hostname}\n",
            "/etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {self.hostname}\n::1 localhost\n",
            "/etc/machine-id": f"{self.machine_id}\n",
            "/etc/resolv.conf": "",
            "/root/.ssh/authorized_keys": self.authorized_key,
        }


def write_identity(tree: Path, identity: DiskIdentity, *, with_esp: bool) -> None:
    """Write the identity into a root file system and give it ssh host keys of its own."""
    for path, content in identity.files(with_esp=with_esp).items():
        file = tree / path.lstrip("/")
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_text(content)
        file.chmod(0o644)
    (tree / "boot/efi").mkdir(exist_ok=True)
    for key in (tree / "etc/ssh").glob(_HOST_KEYS):
        key.unlink()
    run(host_keys_arguments(tree), package="coreutils")
