"""What the commands of ``rackwright image`` share."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.app.project import Project, utc_now
from reconciler.cli.agreement import who
from reconciler.errors import ReconcilerError
from specs.fleet import CompiledFleet

if TYPE_CHECKING:
    from reconciler.app.agents import Word

reference_argument = click.argument("reference", metavar="REF")
reason_option = click.option("--reason", default="", metavar="TEXT", help="Why; kept.")
documents_option = click.option(
    "--repo",
    envvar="RACKWRIGHT_REPO",
    show_envvar=True,
    default="",
    metavar="DIR|URL",
    help="Show what this repository calls the images, and what it does with them.",
)


def word(reason: str) -> "Word":
    """Return what a person says, to be kept with who it is and when."""
    from reconciler.app.agents import Word  # noqa: PLC0415 - slow to load, and lists need it not

    return Word(who(), reason, utc_now())


def fleet_of(repo: str, state: Path) -> CompiledFleet | None:
    """Return what a repository says; None where none is named, and why where it cannot be read."""
    if not repo:
        return None
    try:
        return Project(repo, None, state).fleet
    except ReconcilerError as error:
        click.echo(f"the repository is not shown: {error}", err=True)
        return None
