"""What simulated machines do after a run, and what is kept of it, against a real ``serve``."""

import json
import re
import tarfile

import pytest
import zstandard
from builders.simulated_site import simulated_site
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from agent.imaging.packed_text import unpack
from providers.lab.simulate.disk import NotBootableError, system_on
from providers.lab.simulate.faults import Faults

pytestmark = pytest.mark.timeout(480)

LOCAL = "local disk: the ROM was told no file"
WHY = ("--reason", "a test")
SCENARIOS = """\
---
apiVersion: rackwright/v1alpha1
kind: Image
metadata: {name: own}
spec: {description: A night backup}
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: night-backup}
spec:
  options: {after: reboot, onErrorDelay: 1s}
  steps:
    - inspectDisks: {}
    - backup: {image: own}
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: brief-backup}
spec:
  options: {after: reboot, onErrorDelay: 1s}
  steps:
    - inspectDisks: {}
    - backup: {image: own}
      timeout: 3s
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: clone}
spec:
  options: {after: reboot, onErrorDelay: 1s}
  steps:
    - inspectDisks: {}
    - restore: {image: simulated-golden}
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: clone-or-off}
spec:
  options: {after: reboot, onError: poweroff, onErrorDelay: 1s}
  steps:
    - restore: {image: simulated-golden}
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: clone-or-restart}
spec:
  options: {after: reboot, onError: reboot, onErrorDelay: 1s}
  steps:
    - restore: {image: simulated-golden}
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: look-and-stay}
spec:
  options: {after: stay, onError: stay}
  steps:
    - inspectDisks: {}
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: look-and-restart}
spec:
  options: {after: reboot}
  steps:
    - inspectDisks: {}
"""


def is_bootable(disk):
    try:
        return bool(system_on(disk))
    except NotBootableError:
        return False


def begin(site, scenario, machine, faults, *, disks=0):
    """Have a machine go wrong in a run by hand."""
    site.rack.set_faults(machine, faults)
    agreed = [f"--yes={disks}"] if disks else ["--yes"]
    site.run("run", scenario, "--on", machine, *WHY, "--no-wait", *agreed)


def newest(site, machine):
    """Return the newest operation of a machine as ``get machine`` has it."""
    return site.machine(machine)["operations"][0]


def until_ended(site, machine, state):
    site.until(lambda: newest(site, machine)["state"] == state)
    return newest(site, machine)["events"][-1]["reason"]


def packed_files(site):
    return sorted((site.state / "runs").rglob("*.zst"))


def run_of(site, machine):
    runs = json.loads(site.run("runs", "--format", "json"))["runs"]
    shown = (json.loads(site.run("runs", "show", each["run"], "--format", "json")) for each in runs)
    return next(
        (run["run"], run["operations"][0])
        for run in shown
        if run["operations"][0]["machine"] == machine
    )


def test_after_each_failure_a_machine_does_what_its_scenario_says(tmp_path, keep_consoles):
    with simulated_site(tmp_path, keep_consoles, 7, clones=0) as site:
        rack = site.rack
        site.until(lambda: list(site.states("inspect").values()).count("verified") == 7)
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        nodes = [each.name for each in rack.settings if not each.is_golden]
        # ``after: poweroff``: all have been looked at.
        site.until(lambda: all(rack.machines[name].stage == "off" for name in nodes))
        fleet = site.fleet / "fleet.yaml"
        unbroken = "\nspec:\n  breaker: {failures: 1000}\n"
        text = fleet.read_text("utf-8").replace("\nspec:\n", unbroken, 1)
        fleet.write_text(text + SCENARIOS, "utf-8")
        site.commit("More scenarios; half of the machines fail")
        looks, early, late, off, restarts, cancelled, slow = nodes

        begin(site, "night-backup", "golden", Faults(fail_in="backup"))
        begin(site, "clone", looks, Faults(fail_before="inspectDisks"), disks=1)
        begin(site, "clone", early, Faults(fail_before="restore"), disks=1)
        begin(site, "clone", late, Faults(fail_in="restore"), disks=1)
        begin(site, "clone-or-off", off, Faults(fail_in="restore"), disks=1)
        begin(site, "clone-or-restart", restarts, Faults(fail_in="restore"), disks=1)
        begin(site, "night-backup", cancelled, Faults(stalls_in="backup"))
        begin(site, "brief-backup", slow, Faults(stalls_in="backup"))

        # Nothing was written: each starts from its own disk again.
        for name in ("golden", looks, early):
            reason = until_ended(site, name, "failed")
            assert reason.startswith("RW421: /dev/vda failed to"), reason
            site.until(lambda name=name: rack.machines[name].boots[-1] == LOCAL)
        assert rack.machines["golden"].stage == "system without agent"
        reason = until_ended(site, slow, "failed")
        assert reason.startswith(
            "RW576: step 2 of 3 (backup) did not end within 0:00:03. See the run's log"
        ), reason
        site.until(lambda: rack.machines[slow].boots[-1] == LOCAL)
        site.until(lambda: site.operations("capture")[cancelled].step == 1)
        site.run("cancel", cancelled, "--reason", "wrong disk", "--yes")
        site.until(lambda: rack.machines[cancelled].boots[-1] == LOCAL)

        # A disk was written.
        for name in (late, off, restarts):
            assert until_ended(site, name, "failed").startswith("RW421: /dev/vda failed to write")
            assert not is_bootable(rack.disk(name))
        site.until(lambda: rack.machines[off].stage == "off")
        site.until(lambda: rack.machines[restarts].boots[-1] == LOCAL)
        log = rack.log.read_text("utf-8")
        stays = [line for line in log.splitlines() if line.startswith(late)]
        assert "The machine stays in the Deploy-OS and waits for work" in stays[-1]
        assert rack.machines[late].stage == "deploy-os"

        # It waits for work; a key at the machine is heard as well.
        rack.set_faults(late, Faults())
        site.run("run", "clone", "--on", late, *WHY, "--yes=1")
        assert is_bootable(rack.disk(late))
        assert rack.machines[late].boots == ("Deploy-OS", "Deploy-OS", LOCAL)
        check_evidence(site, tmp_path, complete=(off, cancelled))


def check_evidence(site, directory, complete):
    """What each machine sent is kept, without what nobody may know."""
    run, operation = run_of(site, "golden")
    assert [each["file"] for each in operation["evidence"]] == [
        "agent",
        "disks",
        "dmesg",
        "smart",
        "system",
    ]
    assert "logs: agent, disks, dmesg, smart, system" in site.run("runs", "show", run)
    said = site.run("runs", "log", run)
    assert "step 2/3 backup" in said
    assert "FAILED RW421: /dev/vda failed to" in said
    assert not re.search("sim-0|golden-", said.replace("simulated-golden", ""))
    kernel = site.run("runs", "log", run, "--file", "dmesg")
    assert "rackwright.token=[redacted]" in kernel
    disks = site.run("runs", "log", run, "--file", "disks")
    assert re.search(r"before the first step\n  /\S+/vda, .*gpt, 2 partitions: .*serial ", disks)
    assert re.search(r"after the last step\n  /\S+/vda, .*\n    partition 1: from ", disks)
    assert "PASSED" in site.run("runs", "log", run, "--file", "smart")
    system = json.loads(site.run("runs", "log", run, "--file", "system"))
    assert system["deployOs"] == "simulated"
    assert system["outcome"].startswith("RW421: ")
    for name in complete:
        assert len(run_of(site, name)[1]["evidence"]) == 5

    files = packed_files(site)
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    texts = [unpack(path.read_bytes()).decode() for path in files]
    assert not any(re.search(r"rackwright\.(token|pin)=(?!\[redacted\])", text) for text in texts)
    assert not any(pin_of(site) in text for text in texts)

    out = directory / "run.tar.zst"
    site.run("runs", "collect", run, "--out", str(out))
    with (
        out.open("rb") as packed,
        zstandard.ZstdDecompressor().stream_reader(packed) as stream,
        tarfile.open(fileobj=stream, mode="r|") as tar,
    ):
        names = [entry.name.split("/")[-1] for entry in tar]
    assert names == [
        "run.json",
        "agent.txt",
        "disks.txt",
        "dmesg.txt",
        "smart.txt",
        "system.txt",
    ]


def pin_of(site):
    certificate = x509.load_pem_x509_certificate((site.state / "trust/server.crt").read_bytes())
    return certificate.fingerprint(hashes.SHA256()).hex()


def test_keys_at_the_machine_act_before_the_delay_is_over(tmp_path, keep_consoles):
    with simulated_site(tmp_path, keep_consoles, 2, clones=0) as site:
        rack = site.rack
        site.until(lambda: list(site.states("inspect").values()).count("verified") == 2)
        fleet = site.fleet / "fleet.yaml"
        text = fleet.read_text("utf-8") + SCENARIOS.replace("onErrorDelay: 1s", "onErrorDelay: 1h")
        fleet.write_text(text, "utf-8")
        site.commit("More scenarios")
        one, other = "sim-0001", "sim-0002"
        for name in (one, other):
            begin(site, "night-backup", name, Faults(fail_before="backup"))
        for name in (one, other):
            until_ended(site, name, "failed")
            assert rack.machines[name].stage == "deploy-os"
        rack.press_key(one, "r")
        rack.press_key(other, "p")
        site.until(lambda: rack.machines[one].boots[-1] == LOCAL)
        site.until(lambda: rack.machines[other].stage == "off")


def test_after_success_a_machine_restarts_stays_or_goes_off(tmp_path, keep_consoles):
    with simulated_site(tmp_path, keep_consoles, 1, clones=0) as site:
        rack, spare = site.rack, "sim-0001"
        # The scenario that it is assigned has ``after: poweroff``.
        site.until(lambda: site.states("inspect") == {spare: "verified"})
        site.until(lambda: rack.machines[spare].stage == "off")
        fleet = site.fleet / "fleet.yaml"
        fleet.write_text(fleet.read_text("utf-8") + SCENARIOS, "utf-8")
        site.commit("More scenarios")
        site.run("run", "look-and-stay", "--on", spare, *WHY, "--yes")
        assert rack.machines[spare].stage == "deploy-os"
        boots = len(rack.machines[spare].boots)
        site.run("run", "look-and-restart", "--on", spare, *WHY, "--yes")
        site.until(lambda: rack.machines[spare].boots[boots:][:1] == (LOCAL,))
