"""What package managers are asked, what their words mean, and which system this is."""

import os
import pwd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.commands import apt_cache, apt_get, dnf, dpkg, dpkg_query, loginctl, rpm, zypper
from agent.errors import TerminalError, TransientError
from agent.packages.debian import needed
from agent.packages.linux import facts_of
from agent.packages.package_errors import of_debian, of_rpm
from agent.packages.program import command_of
from agent.packages.room import require_room
from agent.packages.software_name import checked_name, refuse_user_session
from agent.packages.user_session import session_of
from agent.wire.codec import WireError, decode
from agent.wire.package import PackageFile, WantedPackage

ALMA = 'NAME="AlmaLinux"\nID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n'


def test_apt_is_asked_nothing_that_needs_somebody():
    argv = apt_get.install_arguments(["tool=1.0"], ["--allow-downgrades"])
    assert argv[:4] == ["apt-get", "--quiet", "--yes", "--no-remove"]
    assert argv[-4:] == ["--allow-downgrades", "install", "--", "tool=1.0"]
    assert "Dpkg::Options::=--force-confold" in argv
    assert "DPkg::Lock::Timeout=300" in argv
    assert apt_get.ENVIRONMENT["NEEDRESTART_MODE"] == "l"
    assert apt_get.install_arguments(["a"], again=True)[-4:] == [
        "--reinstall",
        "install",
        "--",
        "a",
    ]
    assert "--no-remove" in apt_get.repair_arguments()


def test_a_simulation_says_what_would_be_installed():
    output = (
        "Inst libc6 [2.36-9] (2.36-9+deb12u4 Debian:12.4/stable [amd64])\n"
        "Inst tool (2.0 localhost [all])\nConf tool (2.0 localhost [all])\n"
    )
    assert apt_get.parse_planned(output) == ["libc6=2.36-9+deb12u4", "tool=2.0"]
    text = "Package: tool\nInstalled-Size: 12\nSize: 1000\n\nPackage: b\nSize: 50\n"
    assert apt_cache.parse_sizes(text) == (1050, 12 * 1024)
    assert (needed(1000, 500), needed(1000, 9000)) == (3000, 10000)


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("installed\t1.0\n", "1.0"),
        ("config-files\t1.0\n", ""),
        ("half-configured\t1.0\n", ""),
        ("half-installed\t1.0\ninstalled\t2.0\n", "2.0"),
        ("triggers-awaited\t1.0\n", "1.0"),
        ("", ""),
    ],
)
def test_only_what_is_wholly_installed_is_there(output, version):
    assert dpkg_query.parse_version(output) == version


def test_programs_take_names_after_the_options():
    assert dnf.install_arguments(["a-1"])[-3:] == ["install", "--", "a-1"]
    assert zypper.install_arguments(["/a.rpm"], unsigned_files=True)[-3:] == [
        "--allow-unsigned-rpm",
        "--",
        "/a.rpm",
    ]
    assert rpm.install_arguments([], ["-v"]) == ["rpm", "--upgrade", "-v", "--"]
    assert dpkg.install_arguments([])[-2:] == ["--install", "--"]


def test_rpm_versions_are_taken_apart():
    assert rpm._parts("2:1.0-3.el9") == ("2", "1.0", "3.el9")
    assert rpm._parts("1.0") == ("", "1.0", "")


@pytest.mark.parametrize(
    ("output", "kind", "code", "cause"),
    [
        (
            "E: Could not get lock /var/lib/dpkg/lock. It is held by process 7 (unattended)",
            TransientError,
            "RW214",
            "a: /var/lib/dpkg/lock was held by process 7 (unattended) all the time",
        ),
        (
            "dpkg: error: dpkg frontend lock was locked by another process with pid 46\nNote",
            TransientError,
            "RW214",
            "a: the dpkg frontend lock was held by process 46 all the time",
        ),
        (
            "E: You don't have enough free space in /var/cache/apt/archives/.\n",
            TransientError,
            "RW213",
            "a: there is no room in /var/cache/apt/archives/",
        ),
        (
            " installed b package post-installation script subprocess returned error exit status 3",
            TerminalError,
            "RW218",
            "a: the post-installation script of b ended with 3",
        ),
        (
            "dpkg: error processing package b:\n end of file on stdin at conffile prompt",
            TerminalError,
            "RW221",
            "a: a changed configuration file cannot be asked about",
        ),
        (
            "W: GPG error: file:/r: NO_PUBKEY 1BF5\nE: The repository 'file:/r' is not signed.",
            TerminalError,
            "RW216",
            "a: a source is signed with the key 1BF5, which is not trusted here",
        ),
        (
            "E: Failed to fetch http://m/Packages  Could not connect to m:80",
            TransientError,
            "RW219",
            "a: http://m/Packages cannot be read: Could not connect to m:80",
        ),
        (
            " tool : Depends: libx (>= 2) but it is not installable",
            TerminalError,
            "RW215",
            "a: tool needs libx (>= 2) but it is not installable",
        ),
    ],
)
def test_the_words_of_debians_programs_mean_something(output, kind, code, cause):
    error = of_debian("a", output)
    assert (type(error), error.code, error.cause) == (kind, code, cause)
    assert error.action


@pytest.mark.parametrize(
    ("output", "code", "cause"),
    [
        (
            "Waiting for process with pid 812 to finish.",
            "RW214",
            "a: the list of packages was held by process 812 all the time",
        ),
        (
            "System management is locked by the application with pid 2025 (zypper).\n",
            "RW214",
            "a: the list of packages was held by process 2025 (zypper) all the time",
        ),
        (
            "At least 12MB more space needed on the / filesystem.",
            "RW213",
            "a: / has 12MB too little",
        ),
        (
            "warning: %post(b-1-1.noarch) scriptlet failed, exit status 3",
            "RW218",
            "a: the %post script of b-1-1.noarch failed with 3",
        ),
        ("Error: Unable to find a match: zz", "RW217", "a: no source of this machine has zz"),
        (
            "Error: Failed to download metadata for repo 'appstream': Cannot prepare",
            "RW219",
            "a: a source cannot be read: appstream",
        ),
        ("\tlibx >= 2 is needed by tool-1-1.noarch", "RW215", "a: tool-1-1.noarch needs libx >= 2"),
    ],
)
def test_the_words_of_rpms_programs_mean_something(output, code, cause):
    error = of_rpm("a", output)
    assert (error.code, error.cause) == (code, cause)


@given(st.text())
def test_words_that_nobody_knows_are_no_reason_to_fail(output):
    for meaning in (of_debian, of_rpm):
        error = meaning("a", output)
        assert error is None or error.cause


@pytest.mark.parametrize("name", ["tool-", "--purge", "a b", "*", "a/b", "", "../a", "a=1", "tööl"])
def test_a_name_that_a_package_manager_takes_for_more_is_refused(name):
    wanted = WantedPackage("a", "apt", software=name or " ")
    with pytest.raises(TerminalError, match="RW223"):
        checked_name(wanted, "=")


def test_names_and_versions_of_every_day_are_taken():
    for name, version in [
        ("g++", "4:12.2.0-3"),
        ("libc6:i386", "2.36-9+deb12u4"),
        ("x", "1.0~rc1"),
    ]:
        assert checked_name(WantedPackage(name, "apt", version), "=") == f"{name}={version}"
    assert checked_name(WantedPackage("a", "dnf", software="kernel-rt"), "-") == "kernel-rt"


def test_a_user_cannot_install_for_the_whole_system():
    with pytest.raises(TerminalError, match="RW224: a is to be installed by the user, and apt"):
        refuse_user_session(WantedPackage("a", "apt", session="user"))


def test_a_command_names_files_and_no_shell_reads_it(tmp_path):
    files = {"setup": tmp_path / "setup", "data.bin": tmp_path / "data.bin"}
    file = PackageFile("setup", "0" * 64, 1)
    wanted = WantedPackage(
        "a", "exe", files=(file,), command=("setup", "--from", "data.bin"), arguments=("$HOME; x",)
    )
    assert command_of(wanted, files) == [
        str(tmp_path / "setup"),
        "--from",
        str(tmp_path / "data.bin"),
        "$HOME; x",
    ]
    assert command_of(WantedPackage("a", "exe", files=(file,)), files) == [str(tmp_path / "setup")]


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", "a\\b", "-x", ".x", "x.", "c:x", "a\nb", "x" * 256]
)
def test_a_file_of_a_package_has_a_plain_name(name):
    with pytest.raises(ValueError, match=r"name|regex|length"):
        PackageFile(name, "0" * 64, 1)


def test_a_package_of_an_unknown_kind_is_no_message():
    with pytest.raises(WireError, match="not a WantedPackage"):
        decode(WantedPackage, b'{"name": "a", "adapter": "flatpak"}')


def test_room_is_told_with_both_sizes(tmp_path):
    require_room("a", 1, [tmp_path])
    with pytest.raises(TransientError, match=r"RW213: a: /\S+ has [\d.]+ MiB free, and 10+\d*\.0"):
        require_room("a", 10**9 << 20, [tmp_path])


def test_which_system_it_is():
    alma = facts_of(ALMA, "LANG=ja_JP.UTF-8\n", "amd64")
    assert (alma.families, alma.versions, alma.languages) == (
        ("almalinux", "rhel"),
        ("9.4",),
        ("ja-JP",),
    )
    ubuntu = facts_of("ID=ubuntu\nID_LIKE=debian\nVERSION_ID=24.04\n", "LANG=C.UTF-8\n", "arm64")
    assert (ubuntu.families, ubuntu.languages) == (("ubuntu",), ())
    assert facts_of("", "", "amd64").families == ("linux",)


def test_the_user_who_sits_at_the_machine(monkeypatch):
    entry = pwd.struct_passwd(("jane", "x", 1000, 1000, "Jane Doe", "/home/jane", "/bin/bash"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: {1000: entry}[uid])
    monkeypatch.setattr(os, "getgrouplist", lambda *_: [1000, 27])
    session = loginctl.parse_properties(
        "Id=2\nUser=1000\nName=jane\nDisplay=:0\nType=x11\nClass=user\nActive=yes\nState=active\n"
    )
    user = session_of(session)
    assert (user.name, user.program_user.uid, user.program_user.groups) == (
        "jane",
        1000,
        (1000, 27),
    )
    assert user.environment["DISPLAY"] == ":0"
    assert user.environment["XDG_RUNTIME_DIR"] == "/run/user/1000"
    for changed in ({"Class": "greeter"}, {"Active": "no"}, {"User": "4"}, {"User": ""}):
        with pytest.raises(TransientError, match="RW226: nobody is logged in at the machine"):
            session_of({**session, **changed})
