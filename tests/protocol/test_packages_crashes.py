"""Installing packages while the agent is killed and the power fails: the end is the same."""

import json
import random
import subprocess
from contextlib import suppress

import pytest
from builders.package_root import PackageRoot, make_deb, wanted

pytestmark = pytest.mark.needs_root

COUNT = "echo run >> /srv/count-{name}\n"


@pytest.fixture
def root(tmp_path):
    return PackageRoot(tmp_path)


def last(process):
    out, err = process.communicate()
    assert process.returncode == 0, f"{out}\n{err}"
    return json.loads(out.splitlines()[-1])


def states(said):
    return {result["name"]: result["state"] for result in said["results"]}


def runs(root, name):
    path = root.path(f"/srv/count-{name}")
    return len(path.read_text().splitlines()) if path.exists() else 0


def script(root, tmp_path, name, body, **fields):
    """Return a package whose installer counts its runs and then does ``body``."""
    path = tmp_path / f"{name}.sh"
    path.write_text(f"#!/bin/sh\n{COUNT.format(name=name)}{body}\n")
    file = root.file(path)
    sign = {"type": "file", "path": f"/srv/is-{name}", "version": ""}
    return wanted(name, "script", files=[file], detect=[sign], **fields)


def several(root, tmp_path):
    """Return packages of which one fails and one restarts the machine."""
    return [
        script(root, tmp_path, "plain", "touch /srv/is-plain"),
        script(root, tmp_path, "failing", "exit 7"),
        script(root, tmp_path, "alone", "touch /srv/is-alone", exclusive=True, reboot="always"),
        script(root, tmp_path, "after", "touch /srv/is-after", requires=["alone"]),
    ]


END = {"plain": "installed", "failing": "failed", "alone": "installed", "after": "installed"}


@pytest.mark.nightly
def test_the_agent_killed_before_and_after_each_write_comes_to_the_same_end(tmp_path):
    """Results that are recorded stand, and what was begun is looked at before it is run again."""
    whole = PackageRoot(tmp_path / "whole")
    packages = several(whole, tmp_path)
    first = whole.install(*packages)
    second = whole.install(*packages, boot="second")
    assert (first["reboot"], second["reboot"], states(second)) == (True, False, END)
    assert [runs(whole, name) for name in END] == [1, 1, 1, 1]
    root = PackageRoot(tmp_path / "killed")
    several(root, tmp_path)
    commands = []
    names = {1: "first", 2: "second"}
    for boot, passed in ((1, first["passed"]), (2, second["passed"])):
        for point in range(1, len(passed) + 1):
            order = root.write_order(
                f"die-{boot}-{point}", packages, boot=names[boot], die_at=1, attempts=50
            )
            commands.append(f"{order} || true")
        # Each death is at the first write of what is left: so all are passed through.
        commands.append(root.write_order(f"end-{boot}", packages, boot=names[boot], attempts=50))
    said = last(root.start("\n".join(commands)))
    assert (states(said), said["reboot"]) == (END, False)
    assert [runs(root, name) for name in ("plain", "alone", "after")] == [1, 1, 1]


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(point, marks=[] if point in (2, 3) else pytest.mark.nightly)
        for point in range(1, 9)
    ],
)
def test_the_agent_killed_at_one_write_runs_no_installer_twice(root, tmp_path, point):
    packages = several(root, tmp_path)
    commands = [
        f"{root.write_order('dies', packages, die_at=point)} || true",
        root.write_order("goes-on", packages),
        root.write_order("restarted", packages, boot="second"),
    ]
    said = last(root.start("\n".join(commands)))
    assert (states(said), said["reboot"]) == (END, False)
    assert [runs(root, name) for name in ("plain", "alone", "after")] == [1, 1, 1]
    # The one that leaves no sign may have been interrupted between its end and its record.
    assert runs(root, "failing") in (1, 2)


def test_an_installer_goes_on_without_the_agent_and_is_waited_for(root, tmp_path):
    package = script(root, tmp_path, "slow", "touch /srv/begun; sleep 3; touch /srv/is-slow")
    order = root.write_order("order", [package])
    said = last(
        root.start(
            f"{order} & agent=$!\n"
            "while [ ! -e /srv/begun ]; do sleep 0.05; done\n"
            f"kill -9 $agent; wait $agent\n{order}"
        )
    )
    assert states(said) == {"slow": "installed"}
    assert runs(root, "slow") == 1


def test_what_a_setup_program_leaves_in_the_background_is_waited_for(root, tmp_path):
    package = script(root, tmp_path, "early", "setsid sh -c 'sleep 2; touch /srv/is-early' &")
    assert states(root.install(package)) == {"early": "installed"}


def test_power_lost_while_dpkg_configures_is_repaired_first(root, tmp_path):
    deb = make_deb(
        tmp_path,
        "halfway",
        scripts={"postinst": "touch /srv/here; [ -e /srv/again ] || sleep 60"},
    )
    package = wanted("halfway", "deb", files=[root.file(deb)])
    root.lose_power_when(root.write_order("order", [package]), root.path("/srv/here").exists)
    assert "halfway" in root.shell("dpkg --audit")
    root.path("/srv/again").touch()
    said = root.install(package, boot="second")
    assert states(said) == {"halfway": "installed"}
    assert root.shell("dpkg --audit") == ""


def test_power_lost_while_dpkg_unpacks_is_installed_again(root, tmp_path):
    deb = make_deb(
        tmp_path,
        "halfway",
        scripts={"preinst": "touch /srv/here; [ -e /srv/again ] || sleep 60"},
    )
    package = wanted("halfway", "deb", files=[root.file(deb)])
    root.lose_power_when(root.write_order("order", [package]), root.path("/srv/here").exists)
    root.path("/srv/again").touch()
    said = root.install(package, boot="second")
    assert states(said) == {"halfway": "installed"}
    assert said["results"][0]["attempts"] == 2
    assert root.shell("dpkg --audit") == ""


def test_what_is_interrupted_each_time_is_stalled_with_the_evidence(root, tmp_path):
    package = script(root, tmp_path, "deadly", "kill -9 $(cat /srv/agent)")
    order = root.write_order("order", [package], attempts=3)
    command = f"{order} & echo $! > /srv/agent; wait $!"
    said = last(root.start("\n".join([command] * 3 + [order])))
    result = said["results"][0]
    assert (result["state"], result["stalled"], result["code"]) == ("failed", True, "RW211")
    assert result["cause"] == (
        "deadly was tried 3 times and is not there: each time it was interrupted"
    )
    assert runs(root, "deadly") == 3
    assert states(root.install(package, run="run-2")) == {"deadly": "failed"}
    assert runs(root, "deadly") == 3


def test_what_succeeds_and_is_not_there_is_not_brought_again_without_end(root, tmp_path):
    package = script(root, tmp_path, "liar", "echo done")
    said = [root.install(package, run=f"run-{run}")["results"][0] for run in range(1, 6)]
    assert [result["state"] for result in said] == ["not-detected"] * 5
    assert [result["stalled"] for result in said] == [False, False, True, True, True]
    assert runs(root, "liar") == 3
    assert said[4]["cause"].startswith("liar was tried 3 times and is not there: the installer of")
    assert said[4]["output"] == "done\n"


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(40))
def test_power_lost_at_any_moment_comes_to_the_same_end(root, tmp_path, seed):
    chance = random.Random(seed)  # noqa: S311 - moments, no secrets
    files = {f"usr/share/many/{number}": bytes(5000) for number in range(400)}
    debs = [
        make_deb(tmp_path, "base", files=files),
        make_deb(tmp_path, "upper", Depends="base", scripts={"postinst": "sleep 0.2"}),
    ]
    packages = [
        wanted("base", "deb", files=[root.file(debs[0])]),
        wanted("upper", "deb", files=[root.file(debs[1])], requires=["base"]),
    ]
    order = root.write_order("order", packages, attempts=50)
    for _ in range(3):
        process = root.start(order)
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0.2, 3))
        process.kill()
        process.communicate()
    said = root.install(*packages, attempts=50)
    assert set(states(said).values()) <= {"installed", "present"}
    assert root.shell("dpkg --audit") == ""
