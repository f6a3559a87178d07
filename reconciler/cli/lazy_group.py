"""A group of commands that are imported when they are asked for."""

from collections.abc import Mapping
from importlib import import_module
from keyword import iskeyword

import click


class BrokenOutputError(Exception):
    """Something that was written to is gone, most often who read the output (``| head``)."""


class LazyGroup(click.Group):
    """A group that knows its commands' names and loads one only to run it.

    ``summaries`` has a line for each command. The command ``some-name`` is ``some_name`` of the
    module ``reconciler.cli.PREFIXsome_name``; a keyword of Python has ``_`` behind it.
    """

    def __init__(
        self, *args: object, summaries: Mapping[str, str], prefix: str = "", **settings: object
    ) -> None:
        super().__init__(*args, **settings)  # type: ignore[arg-type] # as click passes them on
        self._summaries = summaries
        self._prefix = prefix

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; click alone would end the process in silence at a broken pipe."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise BrokenOutputError from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        del ctx
        return sorted(self._summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command; None where there is none of this name."""
        del ctx
        if cmd_name not in self._summaries:
            return None
        name = cmd_name.replace("-", "_")
        if iskeyword(name):
            name += "_"
        command = getattr(import_module(f"reconciler.cli.{self._prefix}{name}"), name)
        assert isinstance(command, click.Command)  # noqa: S101 - a command file's promise
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names and what each is for."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(sorted(self._summaries.items()))
