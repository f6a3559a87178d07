"""``rackwright ledger``: whether the history of all work is the one that was written."""

import sys
from datetime import datetime
from json import dumps
from typing import TYPE_CHECKING

import click

from reconciler.cli.agreement import who
from reconciler.cli.options import format_option, project_options

if TYPE_CHECKING:
    from reconciler.app.project import Project
    from reconciler.app.verify_ledger import LedgerVerdict

_SHORT = 12


@click.group()
def ledger() -> None:
    """Verify the history of all work, or accept it as it is.

    Every line of the ledger has a hash over the line before it, and the newest hash is kept
    outside the database too. A database that was lost, restored from an earlier copy, cut
    off or exchanged is noticed: the fleet is observe-only then, and nothing begins on any
    machine until a person has looked.
    """


@ledger.command()
@project_options
@format_option
def verify(project: "Project", output_format: str) -> int:
    """Walk the ledger and ask its witnesses.

    They are what is known of it outside the database. Names the first line that does not
    follow from the line before it. Changes nothing.

    Exit code 0 when the ledger is whole and all witnesses agree, else 1.
    """
    from reconciler.app.verify_ledger import verify_ledger  # noqa: PLC0415 - slow to load

    verdict = verify_ledger(project, _tell)
    _tell(None)
    if output_format == "json":
        click.echo(dumps(_document(verdict), indent=2))
    else:
        _print(verdict)
    return 0 if verdict.is_whole else 1


@ledger.command()
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the ledger.")
@project_options
def accept(project: "Project", reason: str) -> int:
    """Take the ledger as it is.

    After it was lost, restored or exchanged; until then the fleet is observe-only. What the
    ledger has as approved or armed loses its approval, and what it has as started is of
    unknown outcome (`rackwright resolve`). A running `serve` goes on within a second; look at
    `rackwright plan` before you apply anything: machines may have been given other work than
    this ledger knows.

    \b
    Example:
      rackwright ledger accept --reason 'disk of the server replaced, backup of 04:00 restored'
    """  # noqa: D301 - \b keeps click from reflowing the list
    from reconciler.app.accept_ledger import accept_ledger  # noqa: PLC0415 - slow to load
    from reconciler.app.project import utc_now  # noqa: PLC0415 - likewise

    done = accept_ledger(project, who(), reason, utc_now())
    if done is None:
        click.echo("there was nothing to accept: the ledger is the one that was written")
        return 0
    click.echo(f"accepted the ledger up to line {done.line:,}, although {done.because.cause}")
    if done.taken_back:
        click.echo(f"approvals taken back: {done.taken_back:,}")
    if done.unknown:
        click.echo(f"of unknown outcome, see `rackwright resolve`: {done.unknown:,}")
    click.echo("nothing begins by itself: look at `rackwright plan`")
    return 0


def _tell(lines: int | None) -> None:
    """Say on a terminal how far it is; None: no more."""
    if sys.stderr.isatty():
        text = "\r\x1b[K" if lines is None else f"\r{lines:,} lines ..."
        click.echo(text, nl=False, err=True)


def _print(verdict: "LedgerVerdict") -> None:
    from reconciler.state.witness import WHAT_TO_DO  # noqa: PLC0415 - slow to load
    from reconciler.views.untrusted import for_terminal  # noqa: PLC0415 - likewise

    head, broken = verdict.head, verdict.broken
    click.echo(f"ledger {head.ledger[:_SHORT]}: {head.line:,} lines, head {head.hash[:_SHORT]}")
    if broken is None:
        click.echo("chain: every line follows from the line before it")
    else:
        at = f"{datetime.fromisoformat(broken.at):%Y-%m-%d %H:%M:%S} UTC"
        about = f"operation {broken.op_id[:_SHORT]}" if broken.op_id else "no operation"
        text = f"line {broken.sequence:,} ({at}, {about}, {broken.state})"
        click.echo(f"chain: BROKEN at {for_terminal(text)}: it or a line before it was changed")
    for each in verdict.witnesses:
        agrees = f"agrees up to line {each.line or 0:,}"
        click.echo(f"witness {each.path}: {for_terminal(each.problem) or agrees}")
    if not verdict.witnesses:
        click.echo("witness: none yet, `rackwright serve` makes them")
    if verdict.observe_only is not None:
        click.echo(f"{for_terminal(str(verdict.observe_only))}.\n{WHAT_TO_DO}.")


def _document(verdict: "LedgerVerdict") -> dict[str, object]:
    from attrs import asdict  # noqa: PLC0415 - slow to load

    broken = verdict.broken
    return {
        "whole": verdict.is_whole,
        "ledger": verdict.head.ledger,
        "lines": verdict.head.line,
        "hash": verdict.head.hash,
        "firstBroken": broken
        and {
            "line": broken.sequence,
            "at": broken.at,
            "operation": broken.op_id,
            "state": broken.state,
        },
        "witnesses": [
            {"path": str(each.path), "line": each.line, "problem": each.problem or None}
            for each in verdict.witnesses
        ],
        "observeOnly": verdict.observe_only and asdict(verdict.observe_only),
    }
