import os
import subprocess
from pathlib import Path

import pytest

from agent.errors import CodedError
from providers.lab import namespace, up
from providers.lab.rack_file import parse_rack

# From a Linux 6.1 machine, shortened.
STATUS = "Name:\tbash\nUmask:\t0022\nState:\tS (sleeping)\nPid:\t4711\nPPid:\t42\nTracerPid:\t0\n"


def test_a_command_enters_only_the_network():
    assert namespace.enter_argv(7, ["ping", "-c", "1"]) == [
        *("nsenter", "--net=/proc/7/ns/net", "--"),
        *("ping", "-c", "1"),
    ]


def test_the_parent_is_read_off_the_status():
    assert namespace.parent_of(STATUS) == 42
    assert namespace.parent_of("") == 0


def test_ancestry_begins_with_the_process_itself():
    found = namespace.ancestry(os.getpid())
    assert {os.getpid(), os.getppid()} <= found


def test_a_process_that_is_gone_has_no_parents():
    process = subprocess.Popen(["true"])
    process.wait()
    assert namespace.ancestry(process.pid) == {process.pid}


def test_a_process_is_found_by_its_namespace():
    own = str(Path("/proc/self/ns/net").readlink())
    assert os.getpid() in namespace.processes_in(own)
    assert list(namespace.processes_in("net:[1]")) == []


def test_racks_need_root(tmp_path, monkeypatch):
    monkeypatch.setattr(up.os, "geteuid", lambda: 1000)
    rack = parse_rack(
        b'machines: [{name: a, firmware: bios, mac: "52:54:00:77:00:11",'
        b" uuid: 77000000-0000-4000-8000-000000000011, disk: {size: 1MiB, serial: A}}]",
        "rack.yaml",
    )
    with pytest.raises(CodedError) as caught:
        up.rack_up(rack, tmp_path / "lab", tmp_path, print)
    assert str(caught.value) == (
        "RW803: the virtual rack needs root to make a network namespace, "
        "but runs as user id 1000. Run the command with sudo."
    )
    assert not (tmp_path / "lab").exists()
