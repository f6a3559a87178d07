"""The environment variables that the reference lists and `--help` names."""

import re
from pathlib import Path

import click
import pytest

from reconciler.cli.commands import cli

ROOT = Path(__file__).parents[2]


def commands(group, path=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


COMMANDS = dict(commands(cli))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_names_the_variable_of_every_option_that_has_one(path):
    command = COMMANDS[path]
    text = command.get_help(click.Context(command))
    for option in command.params:
        if option.envvar:
            assert option.envvar in text


def test_the_reference_lists_every_variable_and_no_other():
    page = (ROOT / "docs/reference/environment.md").read_text("utf-8")
    sources = [path.read_text("utf-8") for path in (ROOT / "reconciler").rglob("*.py")]
    is_variable = re.compile(r"\bRACKWRIGHT_[A-Z_]+").findall
    assert set(is_variable(page)) == {name for text in sources for name in is_variable(text)}


def test_building_says_where_the_result_goes():
    build = COMMANDS["deploy-os", "build"]
    assert "Where the result goes" in build.get_help(click.Context(build))
