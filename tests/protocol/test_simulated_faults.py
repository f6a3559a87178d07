"""What simulated machines do wrong when they are told to, and what the server makes of it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from builders.simulated_site import simulated_site
from click.testing import CliRunner

from providers.lab.simulate.disk import NotBootableError, system_on
from providers.lab.simulate.faults import KINDS, SHARED_MACHINE_ID, Faults
from reconciler.cli.commands import cli

pytestmark = pytest.mark.timeout(240)


def is_blank(disk):
    return not any(disk.read_bytes())


def begun(site, name):
    status = site.operations("restore")[name]
    return str(status.state), status.attempt


def machine_status(site, name):
    with site.start("status", "--format", "json") as process:
        document = json.loads(process.communicate(timeout=60)[0])
    (found,) = (each for each in document["machines"] if each["machine"] == name)
    return found


def test_machines_that_go_wrong_are_seen_to_and_come_back_once_they_are_helped(
    tmp_path, keep_consoles
):
    wrong = {
        "sim-0001": "no-boot",
        "sim-0002": "power-before-write",
        "sim-0003": "power-in-restore",
        "sim-0004": "cable-in-restore",
        "sim-0005": "lost-after-restore",
        "sim-0006": "disk-in-restore",
        "sim-0007": "late-report",
    }
    with simulated_site(tmp_path, keep_consoles, len(wrong)) as site:
        rack = site.rack
        unable, unwritten, cut, unplugged, lost, broken, late = wrong
        site.until(lambda: list(site.states("inspect").values()).count("verified") == len(wrong))
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        for name, kind in wrong.items():
            found = KINDS[kind]
            rack.set_faults(name, found.lasting(40) if found.timed else found.faults)
        rack.power_off(unable)
        apply = site.start("apply", f"--yes={len(wrong)}")

        def stages(*names):
            return [rack.machines[name].stage for name in names]

        site.until(lambda: stages(late) == ["system without agent"])
        assert begun(site, late) == ("started", 1)
        site.until(lambda: stages(unwritten, cut) == ["off", "off"])
        assert is_blank(rack.disk(unwritten))
        assert not is_blank(rack.disk(cut))
        site.until(lambda: stages(unable, lost) == ["firmware", "firmware"])
        assert begun(site, unable) == ("armed", 1)
        assert begun(site, lost) == ("started", 1)
        assert system_on(rack.disk(lost))
        site.until(lambda: begun(site, broken) == ("failed", 1))
        assert "RW421" in site.operations("restore")[broken].reason
        with pytest.raises(NotBootableError):
            system_on(rack.disk(broken))
        assert begun(site, unplugged) == ("started", 1)
        assert stages(unplugged) == ["deploy-os"]

        rack.plug_cable(unplugged)
        rack.set_faults(unable, Faults())
        for name in (unable, lost):
            rack.power_off(name)
        for name in (unable, unwritten, cut, lost):
            rack.power_on(name)
        said, _ = apply.communicate(timeout=120)
        assert apply.returncode == 1, said
        states = {name: begun(site, name) for name in wrong}
        assert states == {
            unable: ("verified", 1),
            unwritten: ("verified", 2),
            cut: ("verified", 2),
            unplugged: ("verified", 1),
            lost: ("verified", 1),
            broken: ("failed", 1),
            late: ("verified", 1),
        }


def test_two_machines_that_report_one_machine_id_and_one_host_key_are_named_on_both(
    tmp_path, keep_consoles
):
    with simulated_site(tmp_path, keep_consoles, 3) as site:
        first, second, other = "sim-0001", "sim-0002", "sim-0003"
        site.until(lambda: list(site.states("inspect").values()).count("verified") == 3)
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        same = KINDS["same-machine-id"].faults.with_faults_of(KINDS["same-host-key"].faults)
        for name in (first, second):
            site.rack.set_faults(name, same)
        site.run("apply", "--yes=3")
        site.until(lambda: machine_status(site, second)["condition"] == "Stalled")
        for name, twin in ((first, second), (second, first)):
            (further,) = machine_status(site, name)["further"]
            assert further["type"] == "Duplicate"
            assert twin in further["reason"]
            assert SHARED_MACHINE_ID in further["reason"]
            assert "SSH host key" in further["reason"]
            said = " ".join(site.run("get", "machine", name).split())
            assert twin in said
            assert SHARED_MACHINE_ID in said
        assert machine_status(site, other)["further"] == []
        said = " ".join(site.run("status", expect=1).split())
        assert said.count(SHARED_MACHINE_ID) == 2


def test_the_command_makes_machines_fail_from_their_first_start_on(tmp_path):
    command = ["-m", "reconciler.cli", "lab", "simulate", "2", "--image-size", "16MiB", "--on"]
    faults = ["--fail", "sim-0001=no-boot", "--fail", "gold*=disk-first"]
    with subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, *command, *faults, "--dir", tmp_path],
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        wanted = {"firmware 1", "nothing to boot 1", "system without agent 1"}
        for line in process.stdout:
            if set(line.strip().split(" · ")) == wanted:
                break
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("sim-0001=on-fire", "write NAME=KIND; the kinds are no-boot, disk-first, "),
        ("no-boot", "write NAME=KIND; the kinds are"),
        ("=no-boot", "write NAME=KIND; the kinds are"),
        ("sim-0001=no-boot:5s", "only these take a duration: slow-firmware, late-report"),
        ("sim-0001=late-report:soon", "'sim-0001=late-report:soon': "),
        ("node-1=no-boot", "no machine is called 'node-1': they are golden, sim-0001 to sim-0002"),
    ],
)
def test_faults_that_nobody_knows_are_refused_with_what_there_is(tmp_path, said, answer):
    command = ["lab", "simulate", "2", "--dir", str(tmp_path), "--fail", said]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 2
    assert answer in " ".join(done.output.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []
