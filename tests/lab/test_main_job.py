import base64
import hashlib
import json
import re

import pytest
from builders.lab_site import digest_of, file_on_disk, file_system_size, partitions

from agent.wire.codec import decode
from agent.wire.report import Report
from reconciler.state.database import open_database
from reconciler.state.ledger import Ledger
from reconciler.state.operation_states import OperationState
from reconciler.state.schema import machine_report

pytestmark = pytest.mark.lab

MIB = 1 << 20


def installed_system(site):
    """Return what the agent of the only installed system reported last."""
    database = open_database(site.state / "rackwright.db")
    with database.reading() as connection:
        (row,) = connection.execute(
            machine_report.select().where(machine_report.c.environment == "installed")
        )
    database.close()
    return decode(Report, row.body.encode())


def fingerprint(public_key):
    digest = hashlib.sha256(base64.b64decode(public_key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def log_of(site, name):
    """Return what node-01 sent of its restore."""
    run = json.loads(site.run("runs", "--format", "json", expect=0))["runs"][0]["run"]
    return site.run("runs", "log", run, "--machine", "node-01", "--file", name, expect=0)


@pytest.mark.parametrize(
    ("firmware", "table", "secure"),
    [("bios", "mbr", False), ("uefi-secure-boot", "gpt", True)],
)
def test_a_golden_machine_is_cloned_onto_a_blank_one(new_site, firmware, table, secure):
    site = new_site(firmware, table)
    golden = digest_of(site.disk("golden"))

    site.run("validate", expect=0)
    assert "may be in use" in site.run("plan", expect=3)
    site.run("apply", "--yes", expect=0)
    planned = site.run("plan", expect=3)
    assert "DESTRUCTIVE 1" in planned
    assert "(ext4) from" in planned.partition("grows")[2]
    said = site.run("apply", "--yes=1", expect=0)
    assert "node-01 started from its own disk and its agent reported" in said
    assert "Nothing to do" in site.run("plan", expect=0)

    assert {name: each["condition"] for name, each in site.status().items()} == {
        "golden": "Ready",
        "node-01": "Ready",
    }
    report = installed_system(site)
    assert report.hardware.firmware == ("uefi" if secure else "bios")
    assert report.hardware.secure_boot is secure
    assert report.installed.hostname == "node-01"
    assert "10.77.0.11/24" in report.installed.addresses
    machine_id = file_on_disk(site.disk("golden"), "/etc/machine-id").strip()
    assert len(report.installed.machine_id) == len(machine_id) == 32
    assert report.installed.machine_id != machine_id
    key = fingerprint(file_on_disk(site.disk("golden"), "/etc/ssh/ssh_host_ed25519_key.pub"))
    assert len(report.installed.ssh_host_keys) >= 2
    assert not any(key in line for line in report.installed.ssh_host_keys)
    kernel = log_of(site, "dmesg")
    assert "Linux version 6.1." in kernel
    assert "rackwright.token=[redacted]" in kernel
    assert re.search(r"step \d/\d restore", log_of(site, "agent"))
    assert "smartctl 7" in log_of(site, "smart")
    assert "ext4" in log_of(site, "disks").partition("after the last step")[2]
    assert len(json.loads(log_of(site, "system"))["deployOs"]) == 64

    site.rack.down()
    assert digest_of(site.disk("golden")) == golden
    disk = site.disk("node-01")
    grown = partitions(disk)[-1]
    assert disk.stat().st_size - 2 * MIB <= grown.end < disk.stat().st_size
    assert file_system_size(disk) == grown.size
    assert file_system_size(site.disk("golden")) < grown.size - 1000 * MIB

    database = open_database(site.state / "rackwright.db")
    ledger = Ledger(database)
    states = {each.operation.kind: each for each in ledger.operations()}
    assert {kind: each.state for kind, each in states.items()} == {
        "capture": OperationState.VERIFIED,
        "inspect": OperationState.VERIFIED,
        "restore": OperationState.VERIFIED,
    }
    history = [line.state for line in ledger.history(states["restore"].operation.op_id)]
    assert history == ["planned", "approved", "armed", "started", "verified"]
    database.close()
