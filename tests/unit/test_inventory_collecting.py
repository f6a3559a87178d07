"""What programs print of a system, read; and whether it waits for a restart."""

from pathlib import Path

import pytest

from agent.commands import apt, dnf, loginctl, rpm, systemctl, zypper
from agent.commands.apt import Upgradable
from agent.errors import CommandError, MissingCommandError
from agent.inspection.host_paths import HostPaths
from agent.inventory.collector import gather
from agent.inventory.linux import LinuxCollector
from agent.inventory.restart import newer_kernel, restart_reasons
from agent.inventory.smart import SmartSummary, parse_health
from agent.wire.inventory import Package, System, UserSession

APT = """\
Listing...
bash/stable 5.2.15-2+b9 amd64 [upgradable from: 5.2.15-2+b7]
openssl/stable-security,stable-updates,now 3.0.15-1~deb12u1 amd64 [upgradable from: 3.0.11-1]
zlib1g/stable 1:1.2.13 i386 [installed]
N: There is 1 additional version.
"""
DNF = """\

kernel.x86_64                    5.14.0-503.14.1.el9_5       baseos
a-package-with-a-name-that-is-longer-than-its-column.noarch
                                 1:2.0-1.el9                 appstream
Security: kernel-core-5.14.0-503.el9.x86_64 is an installed security update
Obsoleting Packages
new.x86_64                       2-1                         appstream
    old.x86_64                   1-1                         @System
"""
ZYPPER = """\
S | Repository | Name | Current Version | Available Version | Arch
--+------------+------+-----------------+-------------------+-------
v | local      | tool | 1-1             | 2-1               | noarch
"""
RPM = """\
gpg-pubkey\t(none)\tabc-1\t(none)\t(none)
glibc-common\tx86_64\t2.34-60.el9\tglibc-2.34-60.el9.src.rpm\tRed Hat
odd\tnoarch\t7:1-1\t(none)\t(none)
"""
UNITS = """\
cron.service         loaded    active   running Regular background program processing daemon
nfs-server.service   not-found inactive dead    nfs-server.service
broken.service       loaded    failed   failed  A service that fails
run-u1.service       loaded    active   running /usr/bin/sleep 60
"""
FILES = """\
cron.service      enabled  enabled
broken.service    static   -
autovt@.service   alias    -
getty@.service    enabled  enabled
off.service       disabled enabled
"""
SESSIONS = """\
Id=3
Name=ada
TTY=pts/0
Timestamp=Sun 2026-11-29 07:12:13 UTC
RemoteHost=10.0.0.7
Class=user

Id=c1
Name=gdm
TTY=tty1
Timestamp=
Class=greeter

Id=4
Name=bob
TTY=tty2
Timestamp=soon
RemoteHost=
Class=user
"""
ATA = """\
SMART overall-health self-assessment test result: PASSED
  5 Reallocated_Sector_Ct   PO--CK   100   100   010    -    8
  9 Power_On_Hours          -O--CK   093   093   000    -    31337h+12m+00.000s
"""
NVME = """\
SMART overall-health self-assessment test result: FAILED!
Percentage Used:                    104%
Power On Hours:                     1,234
Media and Data Integrity Errors:    5
"""
SCSI = """\
SMART Health Status: OK
Elements in grown defect list: 2
    Accumulated power on time, hours:minutes 4711:12
"""


def test_apt_is_read() -> None:
    assert apt.parse_upgradable(APT) == [
        Upgradable("bash", "amd64", "5.2.15-2+b7", "5.2.15-2+b9", "stable"),
        Upgradable(
            "openssl", "amd64", "3.0.11-1", "3.0.15-1~deb12u1", "stable-security,stable-updates"
        ),
    ]


def test_dnf_is_read_with_names_that_take_a_line_of_their_own() -> None:
    assert dnf.parse_updates(DNF) == [
        Upgradable("kernel", "x86_64", "", "5.14.0-503.14.1.el9_5", "baseos"),
        Upgradable(
            "a-package-with-a-name-that-is-longer-than-its-column",
            "noarch",
            "",
            "1:2.0-1.el9",
            "appstream",
        ),
    ]


def test_zypper_is_read() -> None:
    assert zypper.parse_updates(ZYPPER) == [Upgradable("tool", "noarch", "1-1", "2-1", "local")]


def test_rpm_is_read_without_its_keys() -> None:
    assert [tuple(each) for each in rpm.parse_packages(RPM)] == [
        ("glibc-common", "x86_64", "2.34-60.el9", "glibc", "2.34-60.el9", "Red Hat"),
        ("odd", "noarch", "7:1-1", "", "", ""),
    ]


def test_services_are_those_that_are_loaded_or_could_be() -> None:
    assert sorted(systemctl.parse_services(UNITS, FILES)) == [
        ("broken.service", "failed", "static"),
        ("cron.service", "active", "enabled"),
        ("off.service", "inactive", "disabled"),
        ("run-u1.service", "active", ""),
    ]


def test_sessions_are_those_of_users() -> None:
    assert [UserSession(*each) for each in loginctl.parse_sessions(SESSIONS)] == [
        UserSession("3", "ada", "pts/0", "2026-11-29T07:12:13+00:00", "10.0.0.7"),
        UserSession("4", "bob", "tty2", "", ""),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ATA, SmartSummary("passed", 31337, 8)),
        (NVME, SmartSummary("failed", 1234, 5, 104)),
        (SCSI, SmartSummary("passed", 4711, 2)),
        ("Unknown USB bridge", SmartSummary()),
    ],
)
def test_smart_is_read_in_every_wording(text: str, expected: SmartSummary) -> None:
    assert parse_health(text) == expected


@pytest.mark.parametrize(
    ("running", "installed", "newer"),
    [
        ("6.1.0-9-amd64", ["6.1.0-10-amd64", "6.1.0-9-amd64"], "6.1.0-10-amd64"),
        ("6.1.0-10-amd64", ["6.1.0-9-amd64", "6.1.0-10-amd64"], ""),
        ("6.1.0-9-amd64", ["6.1.0-10-rt-amd64"], ""),
        (
            "5.14.0-503.el9.x86_64",
            ["5.14.0-503.14.1.el9_5.x86_64"],
            "5.14.0-503.14.1.el9_5.x86_64",
        ),
        ("6.4.0-150600.21-default", ["6.4.0-150600.23.7-default"], "6.4.0-150600.23.7-default"),
        ("6.1.0-9-amd64", [], ""),
    ],
)
def test_a_newer_kernel_is_one_of_the_same_flavour(
    running: str, installed: list[str], newer: str
) -> None:
    assert newer_kernel(running, installed) == newer


def test_a_system_waits_for_a_restart_where_packages_say_so_or_a_newer_kernel_is_there(
    tmp_path: Path,
) -> None:
    assert restart_reasons(tmp_path, "6.1.0-9-amd64") == []
    (tmp_path / "run").mkdir()
    (tmp_path / "run/reboot-required").touch()
    assert restart_reasons(tmp_path, "6.1.0-9-amd64") == ["asked for by a package"]
    (tmp_path / "run/reboot-required.pkgs").write_text("dbus\nlibc6\n\ndbus\n")
    for release in ("6.1.0-9-amd64", "6.1.0-10-amd64", "6.1.0-11-amd64"):
        (tmp_path / "lib/modules" / release).mkdir(parents=True)
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/vmlinuz-6.1.0-10-amd64").touch()  # of the newest only modules are left
    assert restart_reasons(tmp_path, "6.1.0-9-amd64") == [
        "asked for by dbus",
        "asked for by libc6",
        "kernel 6.1.0-10-amd64 is installed",
    ]


def test_a_section_that_fails_is_a_problem_and_hides_no_other() -> None:
    def fails():
        raise CommandError(["apt", "list"], "ended with status 100", "E: no\x1b[31m lists", 100)

    def is_missing():
        raise MissingCommandError("smartctl")

    class FakeCollector:
        """A system on which two of three programs do not answer."""

        def sections(self):
            package = Package("a\x07b", "all", "1" * 2000, "", "", "", "deb")
            return {"updates": fails, "disks": is_missing, "packages": lambda: [package]}

        def state(self):
            return ()

    found = gather(FakeCollector())
    assert found == {
        "packages": (Package("a b", "all", "1" * 1000, "", "", "", "deb"),),
        "problems": found["problems"],
    }
    ((problem),) = found["problems"]
    assert problem.text == (
        "updates: RW565: apt list ended with status 100: E: no [31m lists. "
        "See the message of the command."
    )


def test_the_system_and_its_firmware_are_read_where_they_stand(tmp_path: Path) -> None:
    files = {
        "root/etc/os-release": 'ID=sles\nVERSION="15-SP5"\nVERSION_ID="15.5"\nNAME="SUSE"\n',
        "sys/class/dmi/id/bios_vendor": "Maker\n",
        "sys/class/dmi/id/bios_version": "2.1\n",
        "sys/class/dmi/id/bios_date": "04/01/2024\n",
        "proc/sys/kernel/osrelease": "6.4.0\n",
        "proc/stat": "cpu 1 2\nbtime 1790000000\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    paths = HostPaths(tmp_path / "sys", tmp_path / "proc", tmp_path / "dev", tmp_path / "root")
    (system,) = LinuxCollector(paths).sections()["system"]()
    assert isinstance(system, System)
    assert (system.os_id, system.os_version, system.os_name) == ("sles", "15.5", "SUSE")
    assert (system.service_pack, system.kernel) == ("SP5", "6.4.0")
    assert (system.firmware_vendor, system.firmware_version) == ("Maker", "2.1")
    assert (system.firmware_date, system.booted) == ("04/01/2024", "2026-09-21T14:13:20+00:00")
    assert system.updates_checked == ""
