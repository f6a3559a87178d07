"""Showing what came of work by hand: text or JSON on standard output, a file where it is to go."""

import sys
from collections.abc import Iterator
from json import dumps
from pathlib import Path
from shutil import get_terminal_size

import click

from agent.whole_file import create_atomically, write_atomically
from agent.wire.codec import WireError, decode
from agent.wire.listing import Listing
from agent.wire.step import ListFolder, ReadFile
from providers.content.errors import UnknownContentError
from providers.content.store import ContentStore
from reconciler.app.project import Project
from reconciler.cli.by_hand import Order, carry_out
from reconciler.errors import ReconcilerError
from reconciler.server.machine_files import FOLDER
from reconciler.state.hand_results import MachineResult, folded, results
from reconciler.state.machine_history import PastOperation
from reconciler.views.console import PIPED_WIDTH
from reconciler.views.hand_text import (
    FORMAT,
    listing_document,
    listing_lines,
    result_document,
    result_lines,
)

_MODE = 0o600
"""Of files that were got: whoever may read them there need not be whoever may read them here."""


def carried_out(
    order: Order, output_format: str, output: Path | None = None, *, force: bool = False
) -> int:
    """Carry out work by hand and show what came of it; return the exit code."""
    outcome = carry_out(order)
    if outcome.operations:
        found = Results(order.project, outcome.run_id, outcome.operations)
        found.show(output_format, output, force=force)
    return outcome.exit_code


class Results:
    """The results of the operations of one run."""

    def __init__(
        self, project: Project, run_id: str, operations: tuple[PastOperation, ...]
    ) -> None:
        self._state = project.state
        self._run_id = run_id
        self._steps = {
            each.operation.op_id: each.operation.instructions.steps[0] for each in operations
        }
        self._found = results(operations)

    def show(self, output_format: str, output: Path | None = None, *, force: bool = False) -> None:
        """Print them; what was read from a machine goes to ``output``, ``-`` or its own name.

        ReconcilerError RW288 as ``require_free``, and where the content is not kept any more.
        """
        content = [each for each in self._found if each.is_good and each.sha256]
        bad = tuple(each for each in self._found if not (each.is_good and each.sha256))
        documents = {each.operation: result_document(each) for each in self._found}
        if output_format != "json":
            width = get_terminal_size().columns if sys.stdout.isatty() else PIPED_WIDTH
            for line in result_lines(folded(bad), width):
                click.echo(line)
        for each in content:
            step = self._steps[each.operation]
            if isinstance(step, ListFolder):
                listing = self._listing(each)
                documents[each.operation] |= listing_document(listing)
                if output_format != "json":
                    for line in listing_lines(listing):
                        click.echo(line)
            elif isinstance(step, ReadFile):
                written = self._save(each, output or default_output(step.path), force=force)
                documents[each.operation]["written"] = written
                if output_format != "json" and written != "-":
                    click.echo(f"written: {written}, {each.size:,} bytes", err=True)
        if output_format == "json":
            every = {"format": FORMAT, "run": self._run_id, "results": list(documents.values())}
            click.echo(dumps(every, indent=2))

    def _listing(self, result: MachineResult) -> Listing:
        # No more was taken in of a listing: ``server.machine_files``.
        data = b"".join(self._content(result))
        try:
            return decode(Listing, data)
        except WireError as error:
            raise ReconcilerError(
                "RW288",
                f"the listing of {result.machine} cannot be read: {error}",
                "Compare the versions of server and agent",
            ) from error

    def _save(self, result: MachineResult, output: Path, *, force: bool) -> str:
        content = self._content(result)
        if str(output) == "-":
            sys.stdout.buffer.writelines(content)
        elif force:
            write_atomically(output, content, _MODE, follow_links=False)
        elif not create_atomically(output, content, _MODE):
            raise _exists(output)
        return str(output)

    def _content(self, result: MachineResult) -> Iterator[bytes]:
        try:
            yield from ContentStore(self._state / FOLDER).pieces(result.sha256)
        except UnknownContentError as error:
            raise ReconcilerError(
                "RW288",
                f"what {result.machine} brought is not kept any more: a day is the longest",
                "Ask the machine for it again",
            ) from error


def default_output(path: str) -> Path:
    """Return where a file of a machine goes if nobody says: under its name, beside the person."""
    return Path(Path(path).name)


def require_free(output: Path, *, force: bool) -> None:
    """Refuse to get a file that could not be written then (RW288)."""
    if str(output) == "-" or force:
        return
    if output.exists() or output.is_symlink():
        raise _exists(output)


def _exists(output: Path) -> ReconcilerError:
    return ReconcilerError(
        "RW288",
        f"{output} is there already, and nothing was written",
        "Name another file (`--output`), or replace it (`--force`)",
    )
