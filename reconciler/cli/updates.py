"""``rackwright updates``: what machines install by themselves."""

from json import dumps

import click

from reconciler.app.project import Project, utc_now
from reconciler.app.updates import MachineUpdates, ask_to_check, coverage, updates_of
from reconciler.cli.agreement import who
from reconciler.cli.options import format_option, project_options
from reconciler.views.console import console
from reconciler.views.untrusted import for_terminal
from reconciler.views.updates_json import history_document, policy_document, status_document
from reconciler.views.updates_text import history_parts, machine_parts, policy_parts
from specs.diagnostics.quote import counted
from specs.types.display_name import named


@click.group()
def updates() -> None:
    """Show what machines install by themselves, and ask them to look now."""


@updates.command()
@click.option(
    "--on",
    multiple=True,
    metavar="NAME|SELECTOR",
    help="Only these machines: a name, or conditions as in `status --select`. May be given again.",
)
@project_options
@format_option
def status(project: Project, on: tuple[str, ...], output_format: str) -> int:
    """Count who has each package, and say why others do not.

    Exit code 0 when all machines have what they shall have, 1 when some do not.
    """
    found = coverage(project, on, utc_now())
    if output_format == "json":
        click.echo(dumps({"policies": [policy_document(each) for each in found]}, indent=2))
    elif not found:
        click.echo("no update policy selects a machine: an UpdatePolicy document makes one")
    else:
        for part in policy_parts(found):
            console().print(part)
    return int(any(package.rest for each in found for package in each.packages))


@updates.command()
@click.argument("machine")
@project_options
@format_option
def show(project: Project, machine: str, output_format: str) -> None:
    """Show how far one machine is, and what was installed on it."""
    project.require_state()
    now = utc_now()
    found = updates_of(project, machine, now)
    if output_format == "json":
        click.echo(dumps(_document(found), indent=2))
        return
    screen = console()
    policy = f"policy {found.covered.policy.name}" if found.covered else "no policy"
    title = named(found.machine.display_name, found.machine.name)
    screen.print(for_terminal(f"{title}  {policy}"), style="bold", highlight=False, markup=False)
    if found.status is None:
        screen.print("its agent has said nothing of updates yet", style="dim")
        return
    for part in (*machine_parts(found.status, now), *history_parts(found.history, now)):
        screen.print(part)


def _document(found: MachineUpdates) -> dict[str, object]:
    return {
        "machine": found.machine.name,
        "displayName": found.machine.display_name,
        "policy": found.covered.policy.name if found.covered else None,
        "pending": list(found.covered.pending) if found.covered else [],
        "state": status_document(found.status) if found.status else None,
        "history": [history_document(each) for each in found.history],
    }


@updates.command()
@click.option(
    "--on",
    multiple=True,
    required=True,
    metavar="NAME|SELECTOR",
    help="Which machines: a name, or conditions as in `status --select`. May be given again.",
)
@click.option("--reason", default="", metavar="TEXT", help="Why; kept.")
@project_options
def check(project: Project, on: tuple[str, ...], reason: str) -> None:
    """Ask machines to look now what is missing.

    They install it as their policy says.

    \b
    Example:
      rackwright updates check --on group=tokyo --reason 'CVE-2026-1234'
    """  # noqa: D301 - \b keeps click from reflowing the list
    project.require_state()
    asked = ask_to_check(project, on, utc_now(), who(), reason)
    click.echo(f"{counted(len(asked), 'machine')} asked; they hear it within a minute")
