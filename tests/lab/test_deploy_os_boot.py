"""Builds the Deploy-OS and boots it in QEMU, without the boot servers.

A stand-in takes the agent's place: it dies once, then prints what it finds as JSON and
goes on printing a heartbeat. Consoles stay in the test's folder, which a failure names.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import socket
import subprocess
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from providers.deploy_os.build import build
from providers.deploy_os.recipe import CHECKOUT
from providers.deploy_os.result import DeployOSBuild

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="building the Deploy-OS needs root"),
    pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed"),
]

measured = logging.getLogger(__name__)
"""What a run has measured; shown by pytest's --log-cli-level=INFO."""

FIRMWARE = Path("/usr/share/OVMF/OVMF_CODE_4M.ms.fd")
VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.ms.fd")
MAC = "52:54:00:0d:05:01"
PATIENCE = 240.0
"""Seconds; a loaded machine that emulates takes several times as long as an idle one."""

STAND_IN = """
import os, sys, time
from pathlib import Path

if not Path("/run/died").exists():
    Path("/run/died").touch()
    sys.exit(3)

import argparse, asyncio, bz2, ctypes, email, hashlib, http.client, http.server, ipaddress
import json, logging, lzma, secrets, shutil, signal, socket, ssl, subprocess, tempfile
import threading, tomllib, traceback, urllib.request, uuid, zlib
import attrs, blake3, cattrs, typing_extensions, urllib3, zstandard
from cattrs.preconf.json import make_converter

TOOLS = (
    "openssl version", "ssh-keygen -Y none", "partclone.extfs -v", "partclone.ntfs -v",
    "sfdisk --version", "blkid -V", "blockdev --version", "losetup --version",
    "lsblk --version", "mount --version", "e2fsck -V", "resize2fs", "mkfs.vfat --help",
    "ip -V", "efibootmgr --version", "modinfo --version", "ntfs-3g --version", "dmsetup version",
    "lvm version",
)

def run(line):
    return subprocess.run(line, shell=True, capture_output=True, text=True)

def first(path):
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""

def loop_mount(kind, *options):
    run("truncate -s 64M /tmp/image")
    made = run(f"mkfs.{kind} {' '.join(options)} /tmp/image")
    done = run(f"mount -o loop /tmp/image /mnt && touch /mnt/x && umount /mnt")
    return made.stderr + done.stderr if made.returncode or done.returncode else "works"

variable = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
facts = {
    "arguments": sys.argv[1:],
    "python": sys.version_info[:2],
    "agent": __file__,
    "zstandard": zstandard.backend,
    "blake3": blake3.blake3(b"").hexdigest()[:8],
    "converted": make_converter().dumps({"a": 1}),
    "missing": [line for line in TOOLS if run(line).returncode == 127],
    "disks": {
        path.name: int((path / "size").read_text()) * 512
        for path in Path("/sys/block").iterdir()
        if not path.name.startswith("loop")
    },
    "mac": Path("/sys/class/net/eth0/address").read_text().strip(),
    "address": run("ip -4 -o address show dev eth0").stdout.split()[3],
    "route": run("ip route show default").stdout.strip(),
    "resolver": Path("/etc/resolv.conf").read_text(),
    "year": time.gmtime().tm_year,
    "mdstat": Path("/proc/mdstat").exists(),
    "mounts": [line.split()[2] for line in Path("/proc/mounts").read_text().splitlines()],
    "ext4": loop_mount("ext4", "-q"),
    "vfat": loop_mount("vfat"),
    "secure_boot": list(first(variable)[4:]),
    "locked_down": "Kernel is locked down from EFI Secure Boot" in run("dmesg").stdout,
    "sources": sorted(
        str(p) for p in Path("/usr/lib/rackwright/agent").rglob("*") if p.is_file()
    ),
    "free": int(first("/proc/meminfo").split()[4]) // 1024,
}
print("FACTS " + json.dumps(facts), flush=True)
for beat in range(100000):
    print(f"HEARTBEAT {beat}", flush=True)
    time.sleep(2)
"""


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stand-in") / "agent"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "__main__.py").write_text(textwrap.dedent(STAND_IN))
    return folder


@pytest.fixture(scope="session")
def deploy_os(tmp_path_factory: pytest.TempPathFactory, stand_in: Path) -> DeployOSBuild:
    output = tmp_path_factory.mktemp("deploy-os") / "out"
    return build(output, CHECKOUT / ".cache" / "deploy-os", report, stand_in)


def report(text: str, fraction: float | None) -> None:
    measured.info("%4.0f %% %s", 100 * (fraction or 0), text)


class Qemu:
    """A machine under software emulation and what it wrote to its serial line."""

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        self.console = folder / "console.log"
        self._listener = socket.create_server(str(folder / "qmp"), family=socket.AF_UNIX)
        self._listener.settimeout(PATIENCE)
        common = [
            *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-smp", "2", "-nodefaults"),
            *("-display", "none", "-no-reboot", "-serial", "stdio"),
            *("-qmp", f"unix:{folder / 'qmp'}"),
        ]
        self._qmp: TextIO | None = None
        self._started = time.monotonic()
        self._text = ""
        self._grown = threading.Condition()
        self._process = subprocess.Popen(
            [*common, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_for(self, pattern: str, after: int = 0) -> re.Match[str]:
        """The first match in the console's text from ``after`` on."""
        end = time.monotonic() + PATIENCE
        with self._grown:
            while not (match := re.compile(pattern).search(self._text, after)):
                ended = self._process.poll() is not None
                if ended or not self._grown.wait(end - time.monotonic()):
                    tail = "\n".join(self._text.splitlines()[-25:])
                    reason = "the machine ended" if ended else f"{PATIENCE:.0f} s have passed"
                    pytest.fail(
                        f"no {pattern!r} on the console, and {reason}; "
                        f"the whole console: {self.console}\n{tail}"
                    )
        return match

    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.wait_for(r"FACTS (\{.*\})\s*\n")[1])
        return found

    def type(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    @property
    def text(self) -> str:
        with self._grown:
            return self._text

    @property
    def age(self) -> float:
        return time.monotonic() - self._started

    def control(self, *commands: dict[str, Any]) -> None:
        """Send QMP commands."""
        if not self._qmp:
            channel, _ = self._listener.accept()
            with channel:
                self._qmp = channel.makefile("rw", encoding="utf-8")
            self._qmp.readline()
            commands = ({"execute": "qmp_capabilities"}, *commands)
        for command in commands:
            self._qmp.write(json.dumps(command) + "\n")
            self._qmp.flush()
            while "return" not in (answer := json.loads(self._qmp.readline())):
                assert "error" not in answer, answer

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._listener.close()
        if self._qmp:
            self._qmp.close()
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self.console.open("wb") as log:
            while data := os.read(self._process.stdout.fileno(), 65536):
                log.write(data)
                log.flush()
                with self._grown:
                    self._text += data.decode("utf-8", "replace").replace("\r", "")
                    self._grown.notify_all()
        self._process.stdout.close()
        with self._grown:
            self._grown.notify_all()


Start = Callable[..., Qemu]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    machines: list[Qemu] = []

    def begin(*arguments: str) -> Qemu:
        machine = Qemu(tmp_path, list(arguments))
        machines.append(machine)
        return machine

    yield begin
    for machine in machines:
        machine.stop()


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A disk whose every sector says what it was, so that any write shows."""
    path = tmp_path / "disk.img"
    path.write_bytes(b"".join(b"%015d\n" % line for line in range(1 << 20)))
    return path


def direct(build: DeployOSBuild, words: str) -> list[str]:
    """Kernel and RAM disk handed over by QEMU, the BIOS way."""
    line = " ".join([*build.kernel_arguments, words])
    return [
        *("-kernel", str(build.directory / "vmlinuz")),
        *("-initrd", str(build.directory / "initrd.img")),
        *("-append", line),
    ]


def network(mac: str = MAC) -> list[str]:
    card = f"virtio-net-pci,netdev=net0,id=card0,mac={mac},romfile="
    return ["-netdev", "user,id=net0", "-device", card]


def drive(path: Path) -> list[str]:
    return ["-drive", f"file={path},if=virtio,format=raw"]


def boot_partition(build: DeployOSBuild, folder: Path) -> Path:
    """A removable medium with the signed boot chain: shim, GRUB, kernel."""
    image = folder / "boot.img"
    script = folder / "grub.cfg"
    words = " ".join([*build.kernel_arguments, f"BOOTIF=01-{MAC}"])
    script.write_text(f"linux /vmlinuz {words}\ninitrd /initrd.img\nboot\n")
    with image.open("wb") as file:
        file.truncate(64 << 20)
    files = {
        "vmlinuz": build.directory / "vmlinuz",
        "initrd.img": build.directory / "initrd.img",
        "EFI/BOOT/BOOTX64.EFI": build.directory / "shimx64.efi",
        "EFI/BOOT/grubx64.efi": build.directory / "grubx64.efi",
        "grub/grub.cfg": script,
    }
    commands = [["mformat", "-i", str(image), "-F", "::"]]
    commands += [["mmd", "-i", str(image), f"::{name}"] for name in ("EFI", "EFI/BOOT", "grub")]
    commands += [["mcopy", "-i", str(image), str(p), f"::{name}"] for name, p in files.items()]
    for command in commands:
        subprocess.run(command, check=True)
    return image


def check_facts(facts: dict[str, Any]) -> None:
    """What holds however the machine has booted."""
    assert facts["arguments"] == ["deploy-os"]
    assert facts["python"] == [3, 11]
    assert facts["agent"] == "/usr/lib/rackwright/agent/__main__.py"
    assert facts["zstandard"] == "cext"
    assert facts["blake3"] == "af1349b9"
    assert facts["converted"] == '{"a": 1}'
    assert facts["missing"] == []
    assert facts["mac"] == MAC
    assert facts["address"] == "10.0.2.15/24"
    assert facts["route"] == "default via 10.0.2.2 dev eth0 onlink"
    assert facts["resolver"] == "nameserver 10.0.2.3\n"
    assert (facts["ext4"], facts["vfat"]) == ("works", "works")
    assert not facts["mdstat"]
    assert {"ext4", "vfat", "xfs", "btrfs"}.isdisjoint(facts["mounts"])
    assert [Path(path).suffix for path in facts["sources"]] == [".py", ".py", ".pyc", ".pyc"]


def test_the_build_is_small_and_describes_itself(deploy_os: DeployOSBuild) -> None:
    assert set(deploy_os.sizes) == {
        "vmlinuz",
        "initrd.img",
        "shimx64.efi",
        "grubx64.efi",
        "snponly.efi",
        "undionly.kpxe",
    }
    assert deploy_os.sizes["initrd.img"] < 60_000_000
    assert deploy_os.kernel.startswith("6.1.")
    assert deploy_os.debian == "bookworm"
    assert {"busybox", "libc6", "partclone"} <= deploy_os.packages.keys()
    measured.info("sizes: %s", deploy_os.sizes)


def test_nothing_in_the_ram_disk_tells_of_the_build_host(deploy_os: DeployOSBuild) -> None:
    base = max(
        (CHECKOUT / ".cache" / "deploy-os").glob("base-*"), key=lambda path: path.stat().st_mtime
    )
    tree = base / "root"
    files = {str(path.relative_to(tree)) for path in (tree / "etc").rglob("*")}
    assert files == {"etc/mke2fs.conf", "etc/mtab", "etc/ssl", "etc/ssl/openssl.cnf"}
    places = [str(CHECKOUT).encode(), str(deploy_os.directory.parent).encode(), b"deb.debian.org"]
    for path in tree.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            assert not [place for place in places if place in content], path


def test_kernel_modules_keep_their_signatures(deploy_os: DeployOSBuild) -> None:
    base = max(
        (CHECKOUT / ".cache" / "deploy-os").glob("base-*"), key=lambda path: path.stat().st_mtime
    )
    modules = list((base / "root/usr/lib/modules" / deploy_os.kernel).rglob("*.ko"))

    assert len(modules) > 300
    for path in modules:
        assert path.read_bytes().endswith(b"~Module signature appended~\n"), path


def test_a_second_build_changes_nothing_and_a_new_agent_only_its_layer(
    deploy_os: DeployOSBuild, stand_in: Path, tmp_path: Path
) -> None:
    cache = CHECKOUT / ".cache" / "deploy-os"
    inode = deploy_os.directory.stat().st_ino

    again = build(deploy_os.directory, cache, report, stand_in)

    assert again == deploy_os
    assert deploy_os.directory.stat().st_ino == inode

    shutil.copytree(stand_in, tmp_path / "agent")
    (tmp_path / "agent" / "extra.py").write_text("pass\n")
    begin = time.monotonic()
    other = build(tmp_path / "out", cache, report, tmp_path / "agent")
    measured.info("agent layer rebuilt in %.1f s", time.monotonic() - begin)

    assert other.version != deploy_os.version
    assert other.digests["initrd.img"] != deploy_os.digests["initrd.img"]
    assert {**other.digests, "initrd.img": ""} == {**deploy_os.digests, "initrd.img": ""}

    elsewhere = build(tmp_path / "same", cache, report, stand_in)
    assert elsewhere.digests == deploy_os.digests


def test_a_bios_machine_reaches_the_agent_and_writes_to_no_disk(
    deploy_os: DeployOSBuild, start: Start, disk: Path
) -> None:
    before = hashlib.sha256(disk.read_bytes()).digest()
    machine = start(
        *("-machine", "q35", "-m", "768", "-rtc", "base=2001-02-03T04:05:06"),
        *direct(deploy_os, f"BOOTIF=01-{MAC.replace(':', '-')}"),
        *network(),
        *drive(disk),
    )

    machine.wait_for(r"deploy-os: agent: starting")
    measured.info("BIOS: agent started %.1f s after power-on", machine.age)
    machine.wait_for(r"agent: ended with status 3; starting it again in 5 s")
    facts = machine.facts()
    machine.type("\necho $((6 * 7))\n")
    beat = machine.wait_for("HEARTBEAT").end()
    machine.wait_for(r"HEARTBEAT [3-9]", beat)

    check_facts(facts)
    assert facts["disks"] == {"vda": 16 << 20}
    assert facts["secure_boot"] == []
    assert facts["year"] >= 2025
    assert "clock: was 2001-02-03 04:05:" in machine.text
    assert "42" not in machine.text[beat:].split()
    assert hashlib.sha256(disk.read_bytes()).digest() == before
    measured.info("%d MiB of 768 free", facts["free"])


@pytest.mark.skipif(not FIRMWARE.exists(), reason="ovmf is not installed")
@pytest.mark.skipif(not shutil.which("mformat"), reason="mtools is not installed")
def test_a_machine_with_secure_boot_reaches_the_agent_through_shim_and_grub(
    deploy_os: DeployOSBuild, start: Start, tmp_path: Path
) -> None:
    variables = tmp_path / "variables.fd"
    shutil.copy(VARIABLES, variables)
    machine = start(
        *("-machine", "q35,smm=on", "-m", "1024"),
        *("-global", "driver=cfi.pflash01,property=secure,value=on"),
        *("-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={FIRMWARE}"),
        *("-drive", f"if=pflash,format=raw,unit=1,file={variables}"),
        *network(),
        *drive(boot_partition(deploy_os, tmp_path)),
    )

    machine.wait_for(r"EFI stub: UEFI Secure Boot is enabled")
    machine.wait_for(r"deploy-os: agent: starting")
    measured.info("Secure Boot: agent started %.1f s after power-on", machine.age)
    facts = machine.facts()

    check_facts(facts)
    assert facts["secure_boot"] == [1]
    assert facts["locked_down"]
    assert "efivarfs" in facts["mounts"]


def test_a_missing_link_is_shown_and_waited_for_and_a_shell_is_there_when_asked_for(
    deploy_os: DeployOSBuild, start: Start
) -> None:
    machine = start(
        *("-machine", "q35", "-m", "768", "-S"),
        *direct(deploy_os, "rackwright.shell rackwright.time=4102444860"),
        *network(),
    )
    link = {"execute": "set_link", "arguments": {"name": "net0", "up": False}}
    machine.control(link, {"execute": "cont"})

    machine.wait_for(r"clock: was .*, set to 2100-01-01 00:01:\d\d UTC")
    machine.wait_for(rf"network: no carrier on eth0 \({MAC}\): check the cable and the switch")
    machine.type("\necho shell-$((6 * 7))\n")
    machine.wait_for("shell-42")
    link["arguments"] = {"name": "net0", "up": True}
    machine.control(link)

    machine.wait_for(r"network: eth0 has 10\.0\.2\.15/24")
    machine.wait_for(r"deploy-os: agent: starting")


def test_a_silent_dhcp_server_is_reported_and_the_next_card_is_tried(
    deploy_os: DeployOSBuild, start: Start
) -> None:
    deaf = ["-netdev", "hubport,id=hub0,hubid=0", "-device", "virtio-net-pci,netdev=hub0,romfile="]
    machine = start(*("-machine", "q35", "-m", "768"), *direct(deploy_os, ""), *deaf, *network())

    machine.wait_for(r"network: no answer from DHCP on eth0 after 24 s; trying again")
    machine.wait_for(r"network: link on eth1")
    machine.wait_for(r"network: eth1 has 10\.0\.2\.15/24")
    machine.wait_for(r"deploy-os: agent: starting")
