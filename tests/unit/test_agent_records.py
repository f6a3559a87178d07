"""What a machine has noted itself: the kernel's log and its disks' health."""

from pathlib import Path

import pytest
from builders.world import a_disk

from agent.commands import smartctl
from agent.errors import MissingCommandError
from agent.inspection.host_paths import HostPaths
from agent.inspection.records import KernelRecords
from tests.unit.agent_sysfs import VIRTIO, add_disk


def records(directory: Path) -> KernelRecords:
    attributes = {"device/ioerr_cnt": "0x2", "device/state": "running", "serial": "S1"}
    add_disk(directory / "sys", VIRTIO, 1 << 20, attributes)
    block = (directory / "sys/block/vda").resolve()
    temperature = block / "device/hwmon/hwmon0/temp1_input"
    temperature.parent.mkdir(parents=True)
    temperature.write_text("41000\n")
    return KernelRecords(HostPaths(sysfs=directory / "sys"))


def test_health_is_what_smartctl_says_whatever_its_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "smartctl"
    program.write_text('#!/bin/sh\necho "asked: $*"\necho "self-assessment: FAILED!"\nexit 24\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert records(tmp_path).disk_health([a_disk("S1")]) == (
        "/dev/vda\n"
        "  state: running\n"
        "  ioerr_cnt: 0x2\n"
        "  temp1_input: 41000\n"
        "asked: --xall /dev/vda\n"
        "self-assessment: FAILED!\n\n"
    )


def test_without_smartctl_there_is_what_the_kernel_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_device: Path) -> str:
        raise MissingCommandError("smartctl")

    monkeypatch.setattr(smartctl, "read_health", missing)
    said = records(tmp_path).disk_health([a_disk("S1")])
    assert "  ioerr_cnt: 0x2\n" in said
    assert "  SMART: not read, this Deploy-OS has no smartctl\n" in said


def test_the_kernels_log_of_this_host_is_read_or_why_not_is_said() -> None:
    assert KernelRecords().kernel_log().strip()
