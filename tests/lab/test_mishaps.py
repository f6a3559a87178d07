import json
import os

import pytest
from builders.drift import verify
from builders.lab_console import Console
from builders.lab_site import file_on_disk

from agent.imaging.manifest import decode
from providers.imaging.store import ChunkStore
from reconciler.planning.plan import EXIT_BLOCKED, EXIT_RISKY
from reconciler.state.database import open_database
from reconciler.state.ledger import Ledger
from reconciler.state.operation_states import OperationState

pytestmark = pytest.mark.lab

IMAGE = "debian12-golden"


@pytest.fixture(scope="module")
def site(new_site):
    """A BIOS rack whose golden machine was captured and whose node was looked at."""
    site = new_site("bios", "gpt")
    site.edit("scenarios.yaml", r"identity: apply", "identity: keep")
    site.edit("scenarios.yaml", r"grow: last", "grow: none")
    site.edit("scenarios.yaml", r"after: reboot", "after: poweroff")
    # A server that scrubs its store may find a corrupt chunk before a machine does.
    site.edit("fleet.yaml", r"spec:\n", "spec:\n  images: {scrub: {enabled: false}}\n")
    site.run("apply", "--yes", expect=0)
    return site


def blank(site, machine):
    """Switch the machine off and put an empty disk of the same size into it."""
    site.rack.power_off(machine)
    disk = site.disk(machine)
    size = disk.stat().st_size
    os.truncate(disk, 0)
    os.truncate(disk, size)


def run_again(site, token):
    site.edit("machines.yaml", r"(scenario: clone-golden\n\s+run:) \S+", rf"\1 {token}")


def damaged(site):
    """Return which images the status complains about; node-01 has failed, so it ends with 1."""
    document = json.loads(site.run("status", "--format", "json", expect=1))
    return [each["subject"] for each in document["faults"] if each["code"] == "RW995"]


def restores(site):
    database = open_database(site.state / "rackwright.db")
    ledger = Ledger(database)
    found = [
        (each, ledger.history(each.operation.op_id))
        for each in ledger.operations()
        if (each.operation.machine, each.operation.kind) == ("node-01", "restore")
    ]
    database.close()
    return found


def test_a_chunk_that_is_corrupt_on_the_server_stops_the_restore(site):
    blank(site, "node-01")
    run_again(site, "corrupt")
    store = ChunkStore(site.state / "store")
    manifest = decode(store.get_manifest(store.names.resolve(IMAGE)))
    chunks = list(manifest.chunks())
    victim = chunks[len(chunks) // 2]
    path = store.path(victim.digest)
    good = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(good[:-8] + bytes(8))
    said = site.run("apply", "--yes=1", expect=1)
    assert f"RW402: chunk {victim.digest} for disk offset {victim.span.offset:,}" in said
    (failed, _), *_ = [each for each in restores(site) if each[0].operation.run == "corrupt"]
    assert failed.state is OperationState.FAILED
    assert not path.exists()
    assert path.with_suffix(".corrupt").exists()
    assert damaged(site) == [f"image/{IMAGE}"]
    run_again(site, "damaged")
    assert f"image {IMAGE} is not usable" in site.run("plan", expect=EXIT_BLOCKED)

    path.write_bytes(good)
    said = site.run("image", "verify", "--prove", IMAGE, expect=0)
    assert "can be restored" in said
    assert damaged(site) == []
    assert "DESTRUCTIVE 1" in site.run("plan", expect=EXIT_RISKY)

    site.rack.power_off("node-01")
    with site.running("serve"):
        site.rack.power_on("node-01")
        Console(site.rack.console_path("node-01")).wait_for(
            r"[Nn]o bootable device|Boot failed", 240
        )
    console = site.rack.console_path("node-01").read_text("utf-8", "replace")
    assert "GRUB" not in console
    assert "deploy-os:" not in console


def test_a_reset_in_the_middle_boots_nothing_half_written_and_is_finished(site):
    blank(site, "node-01")
    run_again(site, "reset")
    with site.running("apply", "--yes=1") as applying:
        Console(site.rack.console_path("node-01")).wait_for(r"restore [2-8]\d\.\d %", 300)
        site.rack.reset("node-01")
        said, _ = applying.communicate(timeout=600)
    assert applying.returncode == 0, said
    console = site.rack.console_path("node-01").read_text("utf-8", "replace")
    assert console.count("deploy-os: version") >= 2
    assert "GRUB" not in console

    (done, history), *_ = [each for each in restores(site) if each[0].operation.run == "reset"]
    assert done.state is OperationState.VERIFIED
    assert [line.state for line in history] == [
        "planned",
        "approved",
        "armed",
        "started",
        "armed",
        "started",
        "verified",
    ]
    assert "the machine restarted" in history[4].reason

    store = ChunkStore(site.state / "store")
    manifest = decode(store.get_manifest(store.names.resolve(IMAGE)))
    assert verify(manifest, str(site.disk("node-01"))) == []
    assert file_on_disk(site.disk("node-01"), "/etc/hostname") == file_on_disk(
        site.disk("golden"), "/etc/hostname"
    )
    assert site.run("plan", expect=0)


def test_a_machine_without_a_grant_boots_its_own_disk(site):
    with site.running("serve"):
        site.rack.power_on("golden")
        Console(site.rack.console_path("golden")).wait_for(r"golden login:", 300)
    console = site.rack.console_path("golden").read_text("utf-8", "replace")
    assert "deploy-os:" not in console
    site.rack.power_off("golden")
