"""Simulated machines against a real ``serve``: capture, clone, power cuts, local boots."""

import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from time import monotonic

import pytest
from builders.simulated_site import simulated_site

from providers.lab.simulate.disk import NotBootableError, system_on
from providers.lab.simulate.faults import Faults

pytestmark = pytest.mark.timeout(180)

COUNT, CLONES = 20, 10
CUT = "sim-0003"
SPARE = "sim-0020"
DEPLOY_OS = "Deploy-OS"


def is_bootable(disk):
    try:
        return bool(system_on(disk))
    except NotBootableError:
        return False


def test_a_rack_is_cloned_and_the_machine_whose_power_failed_resumes(tmp_path, keep_consoles):
    with simulated_site(tmp_path, keep_consoles, COUNT, clones=CLONES) as site:
        rack = site.rack
        nodes = [each.name for each in rack.settings if not each.is_golden]
        cloned = nodes[:CLONES]
        site.until(lambda: list(site.states("inspect").values()).count("verified") == COUNT)
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        disks = site.machine(SPARE)["deployOs"]["disks"]
        assert [(disk["identity"]["serial"], disk["holds"]) for disk in disks] == [
            ("SIM-0020", "blank (whole disk read)")
        ]
        assert not any(is_bootable(rack.disk(name)) for name in nodes)

        rack.set_faults(CUT, Faults(cut_power_in="restore"))
        apply = site.start("apply", f"--yes={CLONES}")
        site.until(lambda: rack.machines[CUT].stage == "off")
        assert site.operations("restore")[CUT].state == "started"
        assert not is_bootable(rack.disk(CUT))
        rack.power_on(CUT)
        said, _ = apply.communicate(timeout=60)
        assert apply.returncode == 0, said

        restores = site.operations("restore")
        assert {name: each.state for name, each in restores.items()} == dict.fromkeys(
            cloned, "verified"
        )
        assert {name: each.attempt for name, each in restores.items()} == {
            name: 2 if name == CUT else 1 for name in cloned
        }
        assert set(site.conditions().values()) == {"Ready"}
        site.run("plan", expect=0)

        machines = rack.machines
        assert {machines[name].stage for name in cloned} == {"installed"}
        assert machines[CUT].boots[0] == machines[CUT].boots[1] == DEPLOY_OS
        for name, settings in zip(cloned, rack.settings[1:], strict=False):
            system = site.machine(name)["installed"]["installed"]
            assert (system["hostname"], system["addresses"]) == (name, [settings.address])
        identities = sorted(system_on(rack.disk(name)).record for name in cloned)
        assert all(one != other for one, other in pairwise(identities))
        contents = {rack.disk(name).read_bytes()[: 14 << 20] for name in ("golden", *cloned)}
        assert len(contents) == 1


def test_without_a_grant_a_machine_boots_its_own_disk(tmp_path, keep_consoles):
    with simulated_site(tmp_path, keep_consoles, 1, clones=0) as site:
        rack = site.rack
        site.until(lambda: site.states("inspect") == {"sim-0001": "verified"})
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        for name, stage in (("sim-0001", "nothing to boot"), ("golden", "system without agent")):
            boots = len(rack.machines[name].boots)
            rack.power_off(name)
            rack.power_on(name)
            site.until(lambda name=name, stage=stage: rack.machines[name].stage == stage)
            (said,) = rack.machines[name].boots[boots:]
            assert said == "local disk: the ROM was told no file"
            answers = {each["answer"] for each in site.machine(name)["boots"][:2]}
            assert answers == {"local disk: no grant"}


def test_the_work_of_a_hung_agent_resumes_once_its_machine_restarts(tmp_path, keep_consoles):
    with simulated_site(tmp_path, keep_consoles, 1) as site:
        rack = site.rack
        site.until(lambda: site.states("inspect") == {"sim-0001": "verified"})
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        rack.set_faults("sim-0001", Faults(hang_in="applyIdentity"))
        apply = site.start("apply", "--yes=1")
        site.until(lambda: [each.step for each in site.operations("restore").values()] == [2])
        rack.power_off("sim-0001")
        rack.set_faults("sim-0001", Faults())
        rack.power_on("sim-0001")
        said, _ = apply.communicate(timeout=60)
        assert apply.returncode == 0, said
        assert site.operations("restore")["sim-0001"].attempt == 2


def test_work_that_was_handed_out_without_a_cable_arrives_once_it_is_in_again(
    tmp_path, keep_consoles
):
    with simulated_site(tmp_path, keep_consoles, 1) as site:
        rack = site.rack
        site.until(lambda: site.states("inspect") == {"sim-0001": "verified"})
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        rack.pull_cable("sim-0001")
        apply = site.start("apply", "--yes=1")
        site.until(lambda: site.states("restore") == {"sim-0001": "armed"})
        assert rack.machines["sim-0001"].stage == "deploy-os"
        rack.plug_cable("sim-0001")
        said, _ = apply.communicate(timeout=60)
        assert apply.returncode == 0, said
        assert site.operations("restore")["sim-0001"].attempt == 1
        assert rack.machines["sim-0001"].boots[0] == DEPLOY_OS
        assert len(rack.machines["sim-0001"].boots) == 2


def test_by_hand_cancelled_and_taken_back_work_leaves_the_disks_alone(tmp_path, keep_consoles):
    with simulated_site(tmp_path, keep_consoles, 4, clones=0) as site:
        rack = site.rack
        cloned, cancelled, protected, hung = (f"sim-000{number}" for number in range(1, 5))
        site.until(lambda: list(site.states("inspect").values()).count("verified") == 4)
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        for name in (cancelled, protected):
            rack.set_faults(name, Faults(boots_network=False))
        rack.set_faults(hung, Faults(hang_in="restore"))
        on = [part for name in (cancelled, protected, hung) for part in ("--on", name)]
        why = ("--reason", "disks replaced")
        site.run("run", "clone-golden", *on, *why, "--no-wait", "--yes=3")
        site.until(lambda: site.states("restore")[hung] == "started")
        site.until(lambda: site.operations("restore")[hung].step == 1)
        site.until(lambda: site.states("restore")[protected] == "armed")

        said = site.run("cancel", cancelled, hung, "--reason", "wrong rack", "--yes")
        assert f"{cancelled}: cancelled, nothing was begun" in said
        assert f"{hung}: cancelled, disk SIM-0004 is overwritten in part" in said
        machines = site.fleet / "machines.yaml"
        text = machines.read_text("utf-8")
        assert f"name: {protected}" in text
        machines.write_text(text.replace("spec:\n", "spec:\n  protect: true\n"), "utf-8")
        site.commit("Nothing may be overwritten")
        site.until(lambda: site.states("restore")[protected] == "planned")
        assert "the machine is protected" in site.operations("restore")[protected].reason

        spared = (cancelled, protected, hung)
        for name in spared:
            rack.power_off(name)
            rack.set_faults(name, Faults())
            rack.power_on(name)
        site.until(
            lambda: all(
                rack.machines[name].boots[-1] == "local disk: the ROM was told no file"
                for name in spared
            )
        )
        machines.write_text(text.replace("spec:\n", "spec:\n  protect: false\n"), "utf-8")
        site.commit("Everything may be overwritten again")
        site.run("run", "clone-golden", "--on", cloned, *why, "--yes=1")
        assert site.states("restore") == {
            cloned: "verified",
            cancelled: "cancelled",
            protected: "planned",
            hung: "cancelled",
        }
        assert [is_bootable(rack.disk(name)) for name in (cloned, cancelled, protected, hung)] == [
            True,
            False,
            False,
            False,
        ]
        runs = json.loads(site.run("runs", "--format", "json"))["runs"]
        assert [each["counts"] for each in runs] == [
            {"verified": 1},
            {"cancelled": 2, "planned": 1},
            {"verified": 5},
        ]
        steps = json.loads(site.run("runs", "show", runs[0]["run"], "--format", "json"))
        (operation,) = steps["operations"]
        assert [step["step"] for step in operation["steps"]] == [
            "inspectDisks",
            "restore",
            "applyIdentity",
        ]


def test_work_for_the_next_start_catches_it_and_wakes_nobody(tmp_path, keep_consoles):
    with simulated_site(tmp_path, keep_consoles, 2, clones=0) as site:
        rack = site.rack
        name, other = "sim-0001", "sim-0002"
        rack.power_off(name)
        boots = len(rack.machines[name].boots)
        why = ("--reason", "before the move", "--yes=1")
        site.run("run", "clone-golden", "--on", name, "--next-start", *why)
        site.run("run", "clone-golden", "--on", other, *why)
        assert site.states("restore") == {name: "approved", other: "verified"}
        assert (rack.machines[name].stage, len(rack.machines[name].boots)) == ("off", boots)
        said = site.run("status", "--format", "json", expect=1)
        assert "restore: approved, waits for the machine's next start" in said
        rack.power_on(name)
        site.until(lambda: site.states("restore")[name] == "verified")
        assert rack.machines[name].boots[boots] == DEPLOY_OS


FORGE = """
import socket, sys
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from providers.lab.network import UPLINK
from providers.lab.simulate.dhcp_client import DhcpClient

packet = Ether(src="02:66:66:66:66:66", dst="ff:ff:ff:ff:ff:ff") / IP(
    src="0.0.0.0", dst="255.255.255.255"
) / UDP(sport=68, dport=67) / DhcpClient(*sys.argv[1:]).discover(4711)
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
    sock.bind((f"{UPLINK}-end", 0))
    for _ in range(5):
        sock.send(bytes(packet))
"""
"""Five boot requests in the name of a machine, from a station of its network."""


@pytest.mark.timeout(500)
def test_neither_an_absent_server_nor_forged_boots_nor_a_pulled_cable_harm_a_restore(
    tmp_path, keep_consoles
):
    log = keep_consoles / "serve.log"
    with simulated_site(tmp_path, keep_consoles, 2) as site:
        rack = site.rack
        busy, quick = "sim-0001", "sim-0002"
        fleet = site.fleet / "fleet.yaml"
        options = "  options: {after: reboot, timeout: 2h}\n"
        short = "  waits: {silence: 1m, proof: 1m}\n"
        fleet.write_text(fleet.read_text("utf-8").replace(options, options + short), "utf-8")
        site.commit("A minute of silence is enough")
        said = site.run("explain", f"machine/{busy}", "waits")
        assert "waits[clone-golden].silence  1m" in said
        site.until(lambda: list(site.states("inspect").values()).count("verified") == 2)
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        rack.set_faults(busy, Faults(hang_in="restore"))
        rack.set_faults(quick, Faults(start_seconds=3.0))

        def stands(name):
            status = site.operations("restore")[name]
            return str(status.state), status.attempt

        apply = site.start("apply", "--yes=2")
        site.until(lambda: site.states("restore") == {busy: "started", quick: "started"})
        site.end_server(signal.SIGKILL)
        back = monotonic() + 65
        site.until(lambda: monotonic() > back, 70)
        site.serve(log)
        site.until(lambda: stands(quick) == ("verified", 1), 120)
        assert stands(busy) == ("started", 1)

        (victim,) = (each for each in rack.settings if each.name == busy)
        forge = [sys.executable, "-c", FORGE, victim.mac, victim.uuid]
        subprocess.run(rack.inside(forge), check=True, env=site.environment)
        site.until(lambda: "asks again" in str(site.machine(busy)["boots"]))
        later = monotonic() + 45
        site.until(lambda: monotonic() > later, 60)
        assert stands(busy) == ("started", 1)

        rack.pull_cable(busy)
        site.until(lambda: stands(busy) == ("indeterminate", 1), 90)
        rack.plug_cable(busy)
        site.until(lambda: stands(busy) == ("started", 1), 90)
        assert "RW631" in site.run("get", "machine", busy, "--format", "json")

        rack.power_off(busy)
        rack.set_faults(busy, Faults())
        rack.power_on(busy)
        site.until(lambda: stands(busy) == ("verified", 2), 90)
        said, _ = apply.communicate(timeout=30)
        assert "nothing was heard within 1m (waits.silence)" in said


def test_the_scenarios_that_are_shipped_run(tmp_path, keep_consoles):
    with simulated_site(tmp_path, keep_consoles, 1, clones=0) as site:
        rack = site.rack
        site.until(lambda: site.states("inspect") == {"sim-0001": "verified"})
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        shipped = "inspect,backup,linux-master"
        assert site.run("init", "--with", shipped, str(site.fleet)).count("written: ") == 3
        site.commit("Scenarios that are shipped")
        why = ("--reason", "a test")
        site.run("run", "inspect", "--on", "sim-0001", *why, "--yes")
        assert not is_bootable(rack.disk("sim-0001"))
        site.run("run", "backup", "--on", "golden", *why, "--yes")
        # It runs its own system, without an agent that could restart it.
        site.until(lambda: rack.machines["golden"].stage == "system without agent")
        rack.power_off("golden")
        site.run("run", "capture-linux-master", "--on", "golden", *why, "--yes")
        said = site.run("image", "ls")
        assert "backup" in said
        assert "linux-master" in said
        site.run("run", "clone-linux-master", "--on", "sim-0001", *why, "--yes=1")
        assert system_on(rack.disk("sim-0001"))
        site.until(lambda: rack.machines["sim-0001"].stage == "installed")
        runs = json.loads(site.run("runs", "--format", "json"))["runs"]
        assert [each["counts"] for each in runs] == [{"verified": 1}] * 4 + [{"verified": 2}]


BRING_BACK = """\
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: bring-back}
spec:
  options: {after: reboot}
  steps:
    - restore: {image: "backup-{machine}", disk: {role: system}, identity: keep}
"""


def test_machines_that_one_run_backs_up_are_each_restored_from_their_own_image(
    tmp_path, keep_consoles
):
    with simulated_site(tmp_path, keep_consoles, 2) as site:
        rack = site.rack
        names = ("sim-0001", "sim-0002")
        on = [part for name in names for part in ("--on", name)]
        why = ("--reason", "a test")
        site.until(lambda: list(site.states("inspect").values()).count("verified") == 2)
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        site.run("apply", "--yes=2")
        site.run("init", "--with", "backup", str(site.fleet))
        (site.fleet / "bring-back.yaml").write_text(BRING_BACK, "utf-8")
        site.commit("Each machine has a backup of its own")

        site.run("run", "backup", *on, *why, "--yes")
        images = {each["name"] for each in json.loads(site.run("image", "ls", "--format", "json"))}
        assert images == {"simulated-golden", "backup-sim-0001", "backup-sim-0002"}
        before = {name: system_on(rack.disk(name)).record for name in names}
        site.run("run", "clone-golden", *on, *why, "--yes=2")
        cloned = {name: system_on(rack.disk(name)).record for name in names}
        assert not set(before.values()) & set(cloned.values())

        site.run("run", "bring-back", *on, *why, "--yes=2")
        assert {name: system_on(rack.disk(name)).record for name in names} == before
        text = (site.fleet / "scenarios" / "backup.yaml").read_text("utf-8")
        (site.fleet / "scenarios" / "backup.yaml").write_text(
            text.replace("backup-{machine}", "backup-of-one"), "utf-8"
        )
        (site.fleet / "bring-back.yaml").unlink()
        site.commit("All machines have one backup")
        said = site.run("run", "backup", *on, *why, "--yes", expect=1)
        assert "RW659" in said
        assert "sim-0001, sim-0002 would all write image backup-of-one by backup" in said


def processes_with(text):
    """Return the command lines that have a text in them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        found += [line] if text in line else []
    return found


def test_the_command_starts_a_rack_with_a_server_and_ctrl_c_ends_all_of_it(tmp_path):
    command = ["-m", "reconciler.cli", "lab", "simulate", "2", "--image-size", "16MiB"]
    # Whoever runs the tests in the background has Ctrl-C ignored by all that they start.
    heeds = ["env", "--default-signal=INT"]
    with subprocess.Popen(
        [*heeds, sys.executable, *command, "--dir", str(tmp_path), "--on", "--group", "row7"],
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        said = []
        for line in process.stdout:
            said.append(line.strip())
            if "nothing to boot" in line:
                break
        assert f"export RACKWRIGHT_REPO={tmp_path}/run/fleet" in said
        assert "group: row7/clones" in (tmp_path / "run/fleet/machines.yaml").read_text()
        assert processes_with(str(tmp_path))
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert processes_with(str(tmp_path)) == []
