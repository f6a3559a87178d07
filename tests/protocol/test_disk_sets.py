"""Two disks of one machine, captured and restored as a set by the real server and agent."""

import json
import subprocess

import pytest
from builders.crash_site import FAILING, crash_site
from builders.own_disk import own_disk
from builders.simulated_site import simulated_site

from providers.lab.simulate.faults import Faults

pytestmark = pytest.mark.timeout(400)

NAME = "sim-0001"
MIB = 1 << 20
LEFT = 64 * MIB
"""Bytes: an image store leaves 1 GiB, so that the server can keep what happens meanwhile."""
HEAD = "---\napiVersion: rackwright/v1alpha1\n"
SYSTEM, DATA = f"{NAME}-system", f"{NAME}-data"
OF_SYSTEM, OF_DATA = '"{machine}-system"', '"{machine}-data"'


def serial(site):
    (found,) = (each.serial for each in site.rack.settings if each.name == NAME)
    return found


def second_disk(site):
    """Return the file that is the machine's second disk now."""
    disks = (site.rack.path / "machines" / NAME).glob("second-*.raw")
    return max(disks, key=lambda path: int(path.stem.partition("-")[2]))


def add_second_disk(site, work):
    """Give the machine, which is off, a disk of 24 MiB with files on it, and name both disks."""
    tree = work / "data"
    tree.mkdir()
    (tree / "orders").write_bytes(bytes(range(256)) * 4096)
    part, disk = work / "data.part", site.rack.path / "machines" / NAME / "second-1.raw"
    subprocess.run(["mkfs.ext4", "-q", "-L", "data", "-d", tree, part, "20M"], check=True)
    with disk.open("xb") as file:
        file.truncate(24 * MIB)
    script = "label: gpt\nsize=20MiB\n"
    subprocess.run(["sfdisk", "-q", disk], input=script, text=True, check=True)
    write_to(disk, part.read_bytes())
    named = serial(site)
    text = f"{HEAD}kind: Image\nmetadata: {{name: {OF_SYSTEM}}}\n"
    text += f"{HEAD}kind: Image\nmetadata: {{name: {OF_DATA}}}\n"
    for name, steps in (
        ("nightly", [("backup", OF_SYSTEM, named, ""), ("backup", OF_DATA, f"{named}B", "")]),
        ("bring-back", [("restore", OF_SYSTEM, named, ""), ("restore", OF_DATA, f"{named}B", "")]),
        ("data-back", [("restore", OF_DATA, f"{named}B", ", identity: keep")]),
    ):
        text += f"{HEAD}kind: Scenario\nmetadata: {{name: {name}}}\nspec:\n"
        text += "  options: {after: poweroff, timeout: 5m, onErrorDelay: 1s}\n  steps:\n"
        for action, image, number, more in steps:
            disk = f'{{serial: "{number}"}}'
            text += f"    - {action}: {{image: {image}, disk: {disk}{more}}}\n"
    (site.fleet / "sets.yaml").write_text(text, "utf-8")
    site.commit("Sets of disks")


def write_to(disk, content):
    with disk.open("r+b") as file:
        file.seek(MIB)
        file.write(content)


def change(disk):
    """Write other bytes into a file on the second disk."""
    raw = bytearray(disk.read_bytes())
    at = raw.index(bytes(range(256)) * 16)
    raw[at : at + 4096] = b"\x5a" * 4096
    disk.write_bytes(raw)


def run(site, scenario, *more, expect=0):
    return site.run("run", scenario, "--on", NAME, "--reason", "a test", *more, expect=expect)


def listed(site):
    """Return digest and sets of the machine's own images by name."""
    images = json.loads(site.run("image", "ls", "--format", "json"))
    return {each["name"]: each for each in images if each["name"].startswith(NAME)}


def one_set(found):
    """Return the run that the newest images of both names are of, None where it is not one."""
    runs = {found[name]["sets"][0]["run"] for name in (SYSTEM, DATA)}
    return runs.pop() if len(runs) == 1 else None


def clone(site):
    """Let the machine be a clone of the golden one, with a second disk, and off."""
    site.run("apply", "--yes=1")
    site.rack.power_off(NAME)


def newest(site, scenario):
    of_scenario = [
        each
        for each, _ in site.ledger().values()
        if each.operation.scenario == scenario and each.operation.machine == NAME
    ]
    return of_scenario[-1] if of_scenario else None


def test_a_set_is_whole_though_the_server_is_killed_between_its_captures(tmp_path, keep_consoles):
    with crash_site(tmp_path, keep_consoles, 1) as site:
        golden = lambda: site.states("capture").get("golden") == "verified"  # noqa: E731
        site.work_on(lambda: golden() and site.states("inspect") == {NAME: "verified"})
        clone(site)
        add_second_disk(site, tmp_path)
        site.stop()
        killing = (*FAILING, "kill=captures.Captures.record:transaction.after")
        site.server = None
        site.serve(*killing, str(tmp_path / "reached"))
        site.until_served()
        run(site, "nightly", "--yes", "--no-wait")
        site.until(lambda: site.server.poll() is not None)
        assert listed(site) == {}
        site.work_on(lambda: str(newest(site, "nightly").state) == "verified")
        done = newest(site, "nightly")
        assert done.attempt == 1
        assert one_set(listed(site)) == done.operation.op_id

        system, data = site.rack.disk(NAME).read_bytes(), second_disk(site).read_bytes()
        write_to(site.rack.disk(NAME), bytes(2 * MIB))
        write_to(second_disk(site), bytes(2 * MIB))
        said = " ".join(run(site, "bring-back", "--yes=2").split())
        assert "2 disks will be overwritten" in said
        assert f"writes image {DATA} and writes image {SYSTEM}" in said
        assert "warning" not in said
        assert site.rack.disk(NAME).read_bytes()[: 14 * MIB] == system[: 14 * MIB]
        assert second_disk(site).read_bytes() == data
        assert set(site.claims().values()) == {1}


@pytest.mark.nightly
@pytest.mark.needs_root
def test_a_second_capture_that_fails_leaves_the_older_set_and_its_chunks_are_used_again(
    tmp_path, keep_consoles
):
    store = tmp_path / "state" / "store"
    store.parent.mkdir()
    with own_disk(tmp_path, store) as disk, simulated_site(tmp_path, keep_consoles, 1) as site:
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        site.until(lambda: site.states("inspect") == {NAME: "verified"})
        clone(site)
        add_second_disk(site, tmp_path)
        run(site, "nightly", "--yes")
        first = listed(site)
        assert one_set(first)

        # The system's disk did not change: all its chunks are there, and the other one's are not.
        change(second_disk(site))
        text = (site.fleet / "sets.yaml").read_text("utf-8")
        limited = text.replace(
            f"- backup: {{image: {OF_DATA}", f"- timeout: 15s\n      backup: {{image: {OF_DATA}"
        )
        (site.fleet / "sets.yaml").write_text(limited, "utf-8")
        site.commit("Backups of the data have fifteen seconds")
        disk.fill(leaving=LEFT)
        said = " ".join(run(site, "nightly", "--yes", expect=1).split())
        assert "RW576: step 2 of 3 (backup) did not end within 0:00:15: the server has no " in said
        assert f": RW431 the image store {store} needs " in said
        assert listed(site) == first
        site.until(lambda: site.rack.machines[NAME].stage == "installed")
        site.rack.power_off(NAME)
        disk.make_room()

        run(site, "nightly", "--yes")
        second = listed(site)
        assert one_set(second) not in {None, one_set(first)}
        assert second[SYSTEM]["digest"] == first[SYSTEM]["digest"]
        assert second[DATA]["digest"] != first[DATA]["digest"]
        assert {each["run"] for each in second[SYSTEM]["sets"]} == {
            one_set(first),
            one_set(second),
        }

        said = " ".join(run(site, "data-back", "--yes=1").split())
        assert f"is restored without {SYSTEM}, captured together with it" in said
        said = " ".join(run(site, "bring-back", "--yes=2").split())
        assert "warning" not in said
        assert site.states("restore")[NAME] == "verified"


@pytest.mark.nightly
def test_no_disk_is_written_where_one_of_the_set_does_not_fit(tmp_path, keep_consoles):
    """The plan knows a disk that is larger; the agent finds that it was exchanged."""
    with simulated_site(tmp_path, keep_consoles, 1) as site:
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        site.until(lambda: site.states("inspect") == {NAME: "verified"})
        clone(site)
        add_second_disk(site, tmp_path)
        run(site, "nightly", "--yes")
        shrunk = second_disk(site)
        with shrunk.open("r+b") as file:
            file.truncate(16 * MIB)
        data, before = shrunk.read_bytes(), site.rack.disk(NAME).read_bytes()
        said = " ".join(run(site, "bring-back", "--yes=2", expect=1).split())
        assert f"RW451: there is no disk serial={serial(site)}B path=" in said
        assert second_disk(site).read_bytes() == data
        assert site.rack.disk(NAME).read_bytes() == before


@pytest.mark.nightly
def test_a_set_whose_restore_is_cut_off_starts_no_half_of_it_and_is_restored_again(
    tmp_path, keep_consoles
):
    with simulated_site(tmp_path, keep_consoles, 1) as site:
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        site.until(lambda: site.states("inspect") == {NAME: "verified"})
        clone(site)
        add_second_disk(site, tmp_path)
        run(site, "nightly", "--yes")
        system, data = site.rack.disk(NAME).read_bytes(), second_disk(site).read_bytes()
        change(second_disk(site))
        write_to(site.rack.disk(NAME), bytes(MIB // 2))
        before = site.rack.disk(NAME).read_bytes()
        site.rack.set_faults(NAME, Faults(cut_power_in="restore"))
        run(site, "bring-back", "--yes=2", "--no-wait")
        site.until(lambda: site.states("restore").get(NAME) == "started")
        site.until(lambda: site.rack.machines[NAME].stage == "off")
        assert site.rack.disk(NAME).read_bytes() == before
        assert second_disk(site).read_bytes()[:MIB] == bytes(MIB)
        site.rack.set_faults(NAME, Faults())
        site.rack.power_on(NAME)
        site.until(lambda: site.operations("restore")[NAME].state == "verified")
        assert site.operations("restore")[NAME].attempt == 2
        assert site.rack.disk(NAME).read_bytes()[: 14 * MIB] == system[: 14 * MIB]
        assert second_disk(site).read_bytes() == data
