"""What the golden system consists of: packages and the files laid over them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

_NETWORK = """\
[Match]
Type=ether

[Network]
DHCP=ipv4
IPv6AcceptRA=no

[DHCPv4]
# By MAC and not by machine-id: the lease stays the same from the firmware to here.
ClientIdentifier=mac
"""

_INITRAMFS_CONFIGURATION = """\
# The rack's machines are known: naming their drivers makes an initial RAM disk that
# emulated processors unpack three times as fast.
MODULES=list
COMPRESS=zstd
"""

_INITRAMFS_MODULES = """\
virtio_pci
virtio_blk
virtio_scsi
sd_mod
nvme
ext4
"""

_JOURNAL = """\
[Journal]
Storage=volatile
"""

_IDENTITY_SERVICE = """\
[Unit]
Description=Show on the console who this machine is
After=ssh.service

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/show-identity
StandardOutput=journal+console

[Install]
WantedBy=multi-user.target
"""

_SHOW_IDENTITY = """\
#!/bin/sh
# What has to differ between a machine and its clone.
echo "machine-id $(cat /etc/machine-id)"
echo "ssh-host-key $(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub)"
"""

_MASKED_UNITS = (
    # Each costs up to three seconds on an emulated processor and serves no machine of a rack.
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty-static.service",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "systemd-pstore.service",
    "systemd-tmpfiles-clean.timer",
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A root file system. Equal recipes have equal digests."""

    suite: str
    sources: tuple[str, ...]
    """apt source lines."""
    packages: tuple[str, ...]
    excluded_paths: tuple[str, ...]
    """Patterns that dpkg leaves out."""
    files: Mapping[str, str]
    """Absolute path → content; a content that starts with ``#!`` is made executable."""
    links: Mapping[str, str]
    """Absolute path → target of a symbolic link."""

    @property
    def digest(self) -> str:
        """Return 16 hexadecimal digits that change with anything in the recipe."""
        canonical = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


DEBIAN12 = Recipe(
    suite="bookworm",
    sources=(
        "deb http://deb.debian.org/debian bookworm main",
        "deb http://deb.debian.org/debian-security bookworm-security main",
    ),
    packages=(
        "e2fsprogs",
        "fdisk",
        "initramfs-tools",
        "iproute2",
        "kmod",
        # The cloud kernel has the rack's drivers, boots with Secure Boot, and is a third
        # of the size of the general one.
        "linux-image-cloud-amd64",
        "netbase",
        "openssh-server",
        "openssl",
        "procps",
        "python3",
        "systemd-sysv",
        "udev",
        "zstd",
    ),
    excluded_paths=(
        "/usr/share/doc/*",
        "/usr/share/info/*",
        "/usr/share/locale/*",
        "/usr/share/man/*",
    ),
    files={
        "/etc/initramfs-tools/conf.d/rack": _INITRAMFS_CONFIGURATION,
        "/usr/share/initramfs-tools/modules.d/rack": _INITRAMFS_MODULES,
        "/etc/systemd/network/80-dhcp.network": _NETWORK,
        "/etc/systemd/journald.conf.d/rack.conf": _JOURNAL,
        "/etc/systemd/system/show-identity.service": _IDENTITY_SERVICE,
        "/usr/local/sbin/show-identity": _SHOW_IDENTITY,
    },
    links={
        "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service": (
            "/lib/systemd/system/systemd-networkd.service"
        ),
        "/etc/systemd/system/multi-user.target.wants/show-identity.service": (
            "/etc/systemd/system/show-identity.service"
        ),
        **{f"/etc/systemd/system/{unit}": "/dev/null" for unit in _MASKED_UNITS},
    },
)
