"""Commands, files and messages that people ask for by hand: a real ``serve`` and real agents."""

import json
import os
import signal
import stat
from pathlib import Path

import pytest
from builders.simulated_site import simulated_site

from providers.lab.simulate.installed_steps import COMMANDS, MESSAGES, ROOT

pytestmark = pytest.mark.timeout(240)
WHY = ("--reason", "to try it")


def stage_of(site, machine):
    return site.rack.machines[machine].stage


def noted(site, machine, name):
    """Return what was given to the installed system of a machine."""
    found = (site.rack.path / "machines" / machine).glob(f"systems/*/{name}")
    return [json.loads(line) for path in found for line in path.read_text("utf-8").splitlines()]


def installed(site, *machines):
    site.until(lambda: list(site.states("inspect").values()).count("verified") == len(machines))
    site.until(lambda: site.states("capture") == {"golden": "verified"})
    site.run("apply", f"--yes={len(machines)}")
    site.until(lambda: {stage_of(site, each) for each in machines} == {"installed"})


def newest_run(site):
    return json.loads(site.run("runs", "--format", "json"))["runs"][0]


def test_a_command_runs_once_and_equal_results_are_said_once(tmp_path, keep_consoles):
    with simulated_site(tmp_path, keep_consoles, 2) as site:
        installed(site, "sim-0001", "sim-0002")
        said = site.run("exec", "--on", "sim-0001", "--yes", "--", "uname", expect=1)
        assert "RW941: no reason is given" in said
        said = site.run("exec", "--on", "name=sim-*", *WHY, "--yes", "--", "logger", "a b")
        assert "DISRUPTIVE" in said
        assert "runs `logger 'a b'`" in said
        shown = "2 machines: exit 0\n  sim-0001, sim-0002\n    simulated: logger 'a b'\n"
        assert said.endswith(shown)
        assert noted(site, "sim-0001", COMMANDS) == noted(site, "sim-0002", COMMANDS)
        assert noted(site, "sim-0001", COMMANDS) == [["logger", "a b"]]

        # Who, when, why and the command itself are kept.
        run = newest_run(site)
        assert (run["reason"], run["scenarios"]) == ("to try it", ["by-hand/exec"])
        assert "runs `logger 'a b'`" in site.run("runs", "show", run["run"])
        assert site.run("runs", "results", run["run"]) == shown

        failed = site.run(
            "exec",
            "--on",
            "sim-0001",
            *WHY,
            "--yes",
            "--format",
            "json",
            "--",
            "exit",
            "3",
            expect=1,
        )
        document = json.loads(failed[failed.index("\n{") :])
        (result,) = document["results"]
        assert (result["machine"], result["status"], result["said"]) == ("sim-0001", 3, "exit 3")
        assert result["output"] == "simulated: exit 3\n"

        # An edited repository takes no approval back; a hold does.
        site.rack.power_off("sim-0002")
        site.run("exec", "--on", "sim-0002", *WHY, "--yes", "--no-wait", "--", "logger", "later")
        (site.fleet / "more.yaml").write_text(SCENARIO, "utf-8")
        site.commit("Something else")
        site.rack.power_on("sim-0002")
        site.until(lambda: noted(site, "sim-0002", COMMANDS)[-1] == ["logger", "later"])
        site.until(lambda: site.states("service")["sim-0002"] == "verified")

        # Ctrl-C leaves the work alone and says how to see and to stop it.
        site.rack.power_off("sim-0002")
        process = site.start("exec", "--on", "sim-0002", *WHY, "--yes", "--", "logger", "last")
        site.until(
            lambda: (
                process.poll() is not None
                or site.states("service").get("sim-0002") in {"approved", "armed"}
            )
        )
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 130, said
        run = newest_run(site)["run"]
        assert f"  rackwright cancel --run {run} --reason TEXT\n" in said
        site.run("cancel", "--run", run, "--reason", "not any more", "--yes")
        said = site.run("runs", "results", run, expect=1)
        assert said.startswith("sim-0002: cancelled: ")

        said = site.run("message", "--on", "sim-0001", "The network is down at 18:00")
        assert said.endswith("sim-0001: shown: the console\n")
        assert noted(site, "sim-0001", MESSAGES) == ["The network is down at 18:00"]


SCENARIO = """\
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: look-again}
spec: {steps: [{inspectDisks: {}}]}
"""


def test_files_are_listed_got_put_and_removed(tmp_path, keep_consoles):
    here = tmp_path / "here"
    here.mkdir()
    with simulated_site(tmp_path, keep_consoles, 1) as site:
        installed(site, "sim-0001")
        system = next((site.rack.path / "machines/sim-0001/systems").iterdir())
        folder, there = Path("/srv/files"), system / ROOT / "srv/files"
        (there / "sub").mkdir(parents=True)
        content = os.urandom(3 << 20)
        (there / "data").write_bytes(content)
        (there / "data").chmod(0o640)
        (there / "link").symlink_to("data")
        os.mkfifo(there / "pipe")
        Path(os.fsdecode(os.fsencode(there) + b"/odd\xff\x1b[2J\n")).touch()
        said = site.run("file", "ls", "sim-0001", str(folder))
        assert "-rw-r----- root root 3,145,728 " in said
        assert " link -> data\n" in said
        assert " odd\\xff\\x1b[2J\\u000a\n" in said.replace("\\x0a", "\\u000a")
        assert "\x1b" not in said
        listed = site.run("file", "ls", "sim-0001", str(folder), "--format", "json")
        (result,) = json.loads(listed[listed.index("\n{") :])["results"]
        assert [each["type"] for each in result["entries"]] == [
            "file",
            "link",
            "file",
            "pipe",
            "folder",
        ]

        copy = here / "copy"
        get = ("file", "get", "sim-0001")
        assert "RW941" in site.run(*get, str(folder / "data"), expect=1)
        said = site.run(*get, str(folder / "data"), *WHY, "--output", str(copy))
        assert copy.read_bytes() == content
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        assert f"written: {copy}, 3,145,728 bytes" in said
        (there / "empty").touch()
        site.run(*get, str(folder / "empty"), *WHY, "--output", str(here / "empty"))
        assert (here / "empty").read_bytes() == b""
        (here / "empty").unlink()
        refusals = {
            ("data", "--output", str(copy)): f"RW288: {copy} is there already",
            ("link", "--output", str(here / "x")): f"{folder}/link is a symbolic link to",
            ("data", "--max-size", "1MiB", "--output", str(here / "x")): "RW286",
        }
        for (name, *options), expected in refusals.items():
            said = site.run(*get, str(folder / name), *WHY, *options, expect=1)
            assert expected in " ".join(said.split()), name
        assert [each.name for each in here.iterdir()] == ["copy"]
        followed = site.run(
            *get, str(folder / "link"), *WHY, "--follow", "--force", "--output", str(copy)
        )
        assert "3,145,728 bytes" in followed
        assert not list((site.state / "machine-files" / "incoming").iterdir())

        a_file_is_put_and_removed_and_what_was_there_is_kept(site, there, here)


def a_file_is_put_and_removed_and_what_was_there_is_kept(site, there, here):
    (here / "motd").write_text("a new day", "utf-8")
    (there / "motd").write_text("before", "utf-8")
    said = site.run(
        *("file", "put", "--on", "sim-0001", *WHY, "--yes", "--mode", "0600"),
        *(str(here / "motd"), "/srv/files/motd"),
    )
    assert said.endswith("sim-0001: placed\n")
    assert (there / "motd").read_text("utf-8") == "a new day"
    assert stat.S_IMODE((there / "motd").stat().st_mode) == 0o600

    said = site.run(
        *("file", "rm", "--on", "sim-0001", *WHY, "--yes=0"),
        *("/srv/files/sub", "/srv/files/motd", "/srv/files/none"),
    )
    assert said.endswith("sim-0001: removed 2 of 3\n")
    assert not (there / "motd").exists()
    system = next((site.rack.path / "machines/sim-0001/systems").iterdir())
    kept = system / "var/lib/rackwright/files"
    contents = {path.read_text("utf-8") for path in kept.glob(f"*/{there.relative_to('/')}/motd")}
    assert contents == {"before", "a new day"}
    assert not (system / "var/lib/rackwright/fetched").exists()
