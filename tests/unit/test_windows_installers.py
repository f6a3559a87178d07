"""Installers of Windows where Wine cannot show it: busy, reboots, updates."""

import pytest
from builders.fake_windows import FakeWindows
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import Clock
from agent.errors import CodedError, TerminalError, TransientError
from agent.windows import exit_codes
from agent.windows.installers import ExeInstaller, MsiInstaller, MsuInstaller, failure_of
from agent.windows.power import WindowsPower, reboot_blockers
from agent.wire.package import WantedPackage


class Time:
    """Virtual time."""

    def __init__(self):
        self.now = 0.0

    def pause(self, seconds):
        self.now += seconds

    def clock(self):
        return Clock(monotonic=lambda: self.now, pause=self.pause)


def package(adapter="msi", **more):
    return WantedPackage(name="Probe", adapter=adapter, **more)


@pytest.fixture
def files(tmp_path):
    return {name: tmp_path / name for name in ("probe.msi", "probe.msu", "setup.exe")}


def test_a_busy_windows_installer_is_waited_for(tmp_path, files):
    time = Time()
    windows = FakeWindows(tmp_path, {"msiexec": [(1618, ""), (1618, ""), (3010, "")]})
    installer = MsiInstaller(windows, time.clock())
    ended = installer.install(package(), files)
    assert (ended.status, ended.seconds, len(windows.calls)) == (3010, 30.0, 3)
    assert ended.status in installer.reboot_needed
    assert installer.failure(package(), ended) is None


def test_a_windows_installer_that_stays_busy_is_tried_again_later(tmp_path, files):
    time = Time()
    installer = MsiInstaller(FakeWindows(tmp_path, {"msiexec": [(1618, "")]}), time.clock())
    ended = installer.install(package(timeout=100), files)
    assert ended.seconds == 90.0
    error = installer.failure(package(), ended)
    assert isinstance(error, TransientError)
    assert str(error) == (
        "RW231: Probe was not installed: another installation is running "
        "(ERROR_INSTALL_ALREADY_RUNNING, 1618). Wait for it to end; the next run tries again."
    )


def test_another_package_of_the_same_product_takes_its_place(tmp_path, files):
    windows = FakeWindows(tmp_path, {"msiexec": [(1638, ""), (0, "")]})
    ended = MsiInstaller(windows).install(package(arguments=("A=b",)), files)
    assert ended.status == 0
    assert windows.calls[1] == [
        "msiexec.exe", "/i", r"C:\probe.msi", "/qn", "/norestart", "/l*v", r"C:\msiexec.log",
        "REINSTALL=ALL", "REINSTALLMODE=vomus", "A=b",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (
            0x80240017,
            "RW232",
            (
                "the update is not for this Windows, or a newer one is installed "
                "(WU_E_NOT_APPLICABLE, 2149842967)"
            ),
        ),
        (1058, "RW230", "the service Windows Update is disabled (ERROR_SERVICE_DISABLED, 1058)"),
        (0x80070BC2, "RW230", "it ended with status 0x80070BC2"),
    ],
)
def test_what_an_update_package_ends_with_has_a_meaning(tmp_path, files, status, code, said):
    installer = MsuInstaller(FakeWindows(tmp_path, {"wusa": [(status, "")]}))
    error = installer.failure(package("msu"), installer.install(package("msu"), files))
    assert (error.code, error.cause) == (code, f"Probe was not installed: {said}")


def test_an_update_that_is_there_counts_as_installed(tmp_path, files):
    installer = MsuInstaller(FakeWindows(tmp_path, {"wusa": [(2359302, "")]}))
    ended = installer.install(package("msu"), files)
    assert ended.status in installer.success
    assert installer.failure(package("msu"), ended) is None


def test_a_program_is_run_with_the_places_of_the_package_s_files(tmp_path, files):
    windows = FakeWindows(tmp_path, {"C:\\setup": [(7, "unpacked")]})
    wanted = package("exe", command=("setup.exe", "/log", "probe.msi"), arguments=("/S",))
    installer = ExeInstaller(windows)
    ended = installer.install(wanted, files)
    assert windows.calls == [[r"C:\setup.exe", "/log", r"C:\probe.msi", "/S"]]
    assert (ended.status, ended.output) == (7, "unpacked")
    assert str(installer.failure(wanted, ended)) == (
        "RW230: Probe was not installed: it ended with status 7. "
        "See the installer's log for the action that failed."
    )


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (
            package("msi"),
            (
                "RW233: the package Probe has 0 files that end with .msi, wanted one. "
                "Correct its files, or its adapter msi."
            ),
        ),
        (
            package("exe"),
            (
                "RW233: the package Probe has neither a command nor a file. "
                "Correct its files, or its adapter exe."
            ),
        ),
        (
            package("msu", session="user"),
            (
                "RW234: Probe shall be installed in a user's session, which is not possible on "
                "Windows. Use `session: service`, or an installer for the whole machine."
            ),
        ),
    ],
)
def test_what_cannot_be_installed_is_refused_before_anything_runs(tmp_path, wanted, said):
    windows = FakeWindows(tmp_path)
    kinds = {"msi": MsiInstaller, "msu": MsuInstaller, "exe": ExeInstaller}
    with pytest.raises(TerminalError) as error:
        kinds[wanted.adapter](windows).check(wanted, {})
    assert str(error.value) == said
    assert windows.calls == []


@given(st.integers(-(2**31), 2**32 - 1))
def test_every_status_has_a_meaning(status):
    known = exit_codes.meaning_of(status)
    assert known.outcome in exit_codes.OUTCOMES
    error = failure_of("Probe", status)
    installed = exit_codes.statuses("installed", "present", "reboot-needed", "reboot-begun")
    assert (error is None) == (known.status in installed)
    assert error is None or isinstance(error, CodedError)


def test_each_failure_says_what_to_do():
    failures = ("busy", "not-applicable", "failed")
    assert all(code.action for code in exit_codes.EXIT_CODES.values() if code.outcome in failures)


def test_a_restart_waits_and_says_why_and_a_refusal_is_an_error(tmp_path):
    windows = FakeWindows(tmp_path, {"shutdown": [(0, ""), (1190, ""), (5, "")]})
    power = WindowsPower(windows, wait=90, comment="Updates")
    power.reboot()
    power.poweroff()  # one is scheduled already, which is as good
    assert windows.calls[0][:6] == ["shutdown.exe", "/r", "/t", "90", "/c", "Updates"]
    with pytest.raises(TerminalError) as error:
        power.reboot()
    assert str(error.value) == (
        "RW235: Windows refused shutdown.exe /r with status 5. "
        "Let the agent's service run as the system, or restart the machine by hand."
    )
    assert not power.abort()


def test_who_is_logged_in_holds_up_a_restart(tmp_path):
    said = (
        " USERNAME  SESSIONNAME  ID  STATE\n"
        ">jane       console       1  Active\n"
        " max                      2  Disc\n"
    )
    assert reboot_blockers(FakeWindows(tmp_path, {"quser": [(0, said)]})) == (
        "jane is logged in (session 1, console)",
        "max is logged in (session 2, screen closed)",
    )
