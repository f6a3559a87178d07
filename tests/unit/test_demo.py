"""The commands that the demo ends with, where its rack stays up."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from reconciler.app.project import Project
from reconciler.cli.commands import cli
from reconciler.cli.demo import how_to_go_on

LAB = Path(__file__).parents[2] / "examples/lab/fleet"


def commands(directory):
    text = how_to_go_on(directory, Path("/opt/a b/bin"))
    return [line.strip() for line in text.splitlines() if line.startswith("  ")]


def test_the_lines_are_commands_that_a_shell_reads(tmp_path):
    script = "\n".join(commands(tmp_path / "it's here"))
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)


def test_the_last_line_takes_back_what_the_first_ones_exported(tmp_path):
    lines = commands(tmp_path)
    assert lines[-1].startswith("unset RACKWRIGHT_")
    script = "\n".join([*(line for line in lines if "export RACK" in line), lines[-1], "env"])
    left = subprocess.check_output(["sh", "-e"], input=script, env={}, text=True)
    assert "RACKWRIGHT_" not in left


def test_every_command_that_is_named_exists(tmp_path):
    named = re.findall(r"\brackwright ([a-z]+)", "\n".join(commands(tmp_path)))
    assert named[:2] == ["lab", "serve"]
    assert {"plan", "apply", "status", "get"} <= set(named)
    assert set(named) <= set(cli.list_commands(None))  # type: ignore[arg-type]


@pytest.mark.parametrize("folder", ["demo", "it's a [demo]"])
def test_the_change_asks_for_another_clone(tmp_path, folder):
    directory = tmp_path / folder
    fleet = directory / "run" / "fleet"
    shutil.copytree(LAB, fleet)
    wanted = [line for line in commands(directory) if line.startswith(("export RACK", "sed"))]
    subprocess.run(["sh", "-e"], input="\n".join(wanted), text=True, check=True)
    machines = Project(str(fleet), None, directory / "state").fleet.machines
    runs = {name: each.assignments[0].run for name, each in machines.items()}
    assert runs == {"golden": "1", "node-01": "2"}
