"""Asking a person to agree: to a plan by the number of its disks, to a list; and who that is."""

import sys
from socket import gethostname

import click

from reconciler.cli.login import login
from reconciler.errors import ReconcilerError

yes_option = click.option(
    "--yes",
    is_flag=False,
    flag_value=0,
    type=click.IntRange(min=0),
    default=None,
    metavar="[COUNT]",
    help="Do not ask. COUNT is the number of disks that you agree to overwrite "
    "(`--yes=3`); without it destructive plans are refused.",
)


def confirm(digest: str, disks: int, yes: int | None) -> None:
    """Have a person agree to a plan, or take ``--yes``.

    RW905 where that names another number of disks, RW917 where nobody answers.
    """
    if yes is not None:
        if yes != disks:
            agreed_to = f"the agreement is for {yes}" if yes else "`--yes` alone agrees to none"
            raise ReconcilerError(
                "RW905",
                f"the plan overwrites {disks} disk(s), {agreed_to}",
                f"Review plan {digest[:12]}; to agree, say `--yes={disks}`",
            )
        return
    try:
        agreed = _is_agreed(disks)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise ReconcilerError(
            "RW917",
            "nobody can be asked here, and nothing was approved",
            f"Review plan {digest[:12]}; to agree, say `--yes{f'={disks}' if disks else ''}`",
        ) from None
    if not agreed:
        raise click.Abort


def _is_agreed(disks: int) -> bool:
    if not disks:
        return click.confirm("\nCarry out this plan?", err=True)
    question = f"\nType {disks} to overwrite {disks} disk(s)"
    answer: str = click.prompt(question, default="", show_default=False, err=True)
    return answer.strip() == str(disks)


def confirm_listed(question: str, undone: str) -> None:
    """Have a person agree to a list that was shown; RW917 where nobody can answer.

    ``undone`` is what did not happen then, as a clause.
    """
    if not sys.stdin.isatty():
        raise ReconcilerError(
            "RW917", f"nobody can be asked here, and {undone}", "Read the list, say --yes"
        )
    if not click.confirm(question, err=True):
        raise click.Abort


def confirm_number(question: str, number: int, yes: int | None, undone: str) -> None:
    """Have a person type a number that was shown, or take ``--yes=NUMBER``.

    RW917 where nobody can answer; RW905 where ``--yes`` names another number. ``undone`` is
    what did not happen then, as a clause.
    """
    if yes is not None:
        if yes != number:
            raise ReconcilerError(
                "RW905", f"it is about {number}, the agreement is for {yes}", f"Say --yes={number}"
            )
        return
    if not sys.stdin.isatty():
        raise ReconcilerError(
            "RW917",
            f"nobody can be asked here, and {undone}",
            f"Read the list, say --yes={number}",
        )
    answer = click.prompt(question, default="", show_default=False, err=True)
    if answer.strip() != str(number):
        raise click.Abort


def who() -> str:
    """Return who gives this command, for the history: ``ada@host``."""
    return f"{login()}@{gethostname()}"
