"""A capture that meets a full image store waits, is shown, goes on, and ends in time."""

import json
import re

import pytest
from builders.own_disk import own_disk
from builders.simulated_site import simulated_site

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(400)]

NAME = "sim-0001"
LEFT = 64 << 20
"""Bytes: an image store leaves 1 GiB, so that the server can keep what happens meanwhile."""
ON = ("--on", NAME, "--reason", "a test")


def reason(site):
    with site.start("status", "--format", "json") as process:
        document = json.loads(process.communicate(timeout=60)[0])
    (found,) = (each["reason"] for each in document["machines"] if each["machine"] == NAME)
    return found


def test_a_capture_waits_for_room_and_goes_on_by_itself_or_fails_when_its_time_is_up(
    tmp_path, keep_consoles
):
    store = tmp_path / "state" / "store"
    store.parent.mkdir()
    with own_disk(tmp_path, store) as disk, simulated_site(tmp_path, keep_consoles, 1) as site:
        site.until(lambda: site.states("inspect") == {NAME: "verified"})
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        site.run("apply", "--yes=1")
        site.run("init", "--with", "backup", str(site.fleet))
        site.commit("Backups")

        disk.fill(leaving=LEFT)
        run = site.start("run", "backup", *ON, "--yes")
        waits = f"capture: started, waits for room in the image store {store} ("
        site.until(lambda: reason(site).startswith(waits))
        assert re.search(
            r"\(6\d,\d{3},\d{3} bytes are free, .*, since [0-9: -]+ UTC$", reason(site)
        )
        disk.make_room()
        said, _ = run.communicate(timeout=120)
        assert run.returncode == 0, said
        assert f"{NAME}: capture (2/3), waits for room in the image store {store} (" in on_one_line(
            said
        )
        done = site.operations("capture")[NAME]
        assert (done.state, done.attempt) == ("verified", 1)
        names = {each["name"] for each in json.loads(site.run("image", "ls", "--format", "json"))}
        assert names == {"simulated-golden", f"backup-{NAME}"}
        shown = site.run("runs", "show", newest(site))
        assert f"for room in the image store {store} (" in on_one_line(shown)

        backup = site.fleet / "scenarios" / "backup.yaml"
        text = backup.read_text("utf-8")
        assert "timeout: 4h" in text
        text = text.replace("timeout: 4h", "timeout: 4h\n    onErrorDelay: 1s")
        text = text.replace("    - backup:", "    - timeout: 20s\n      backup:")
        backup.write_text(text, "utf-8")
        site.commit("Backups have twenty seconds")
        site.run("run", "clone-golden", *ON, "--yes=1")  # or all of the disk would be in the store
        disk.fill(leaving=LEFT)
        said = on_one_line(site.run("run", "backup", *ON, "--yes", expect=1))
        assert "RW576: step 2 of 3 (backup) did not end within 0:00:20: the server has no " in said
        assert f": RW431 the image store {store} needs " in said
        site.until(lambda: site.rack.machines[NAME].stage == "installed")
        disk.make_room()


def on_one_line(text):
    return " ".join(text.split())


def newest(site):
    return json.loads(site.run("runs", "--format", "json"))["runs"][0]["run"]
