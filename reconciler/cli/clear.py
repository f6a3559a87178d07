"""``rackwright clear``: a person's word where the server must not guess."""

from collections.abc import Sequence
from getpass import getuser

import click

from reconciler.app.cancel import require_keepable
from reconciler.app.clear import Clearing, Clearings, require_one_way
from reconciler.app.machine_selection import MachineFilter, filtered
from reconciler.app.project import Project, utc_now
from reconciler.cli.agreement import confirm_listed
from reconciler.cli.options import project_options, select_option
from reconciler.errors import StateError
from reconciler.state.operation_states import OperationState
from reconciler.views.untrusted import for_terminal


@click.command()
@click.argument("machines", nargs=-1, metavar="[MACHINE]...")
@select_option
@click.option("--all", "everything", is_flag=True, help="All that there is to clear.")
@click.option(
    "--as",
    "outcome",
    type=click.Choice(["verified", "failed"]),
    default="failed",
    show_default=True,
    help="How operations of unknown outcome ended, as you found it.",
)
@click.option("--reason", default="", metavar="TEXT", help="What you found; kept in the history.")
@click.option("--yes", is_flag=True, help="Do not ask before several machines are cleared.")
@project_options
def clear(  # noqa: PLR0913 - one argument per option
    project: Project,
    machines: tuple[str, ...],
    select: str,
    outcome: str,
    reason: str,
    *,
    everything: bool,
    yes: bool,
) -> int:
    """Lift quarantines and settle operations of unknown outcome.

    MACHINE is the name in the repository; where no machine has it, the name that the
    hardware had when it was last worked on. With --select, --all or several names, what
    would be cleared is listed first and asked about. Nothing is run again: for that, give
    the assignment a new run token.

    \b
    Examples:
      rackwright clear node-07 --as verified --reason 'it boots and is as it should be'
      rackwright clear --select 'group=tokyo/**' --reason 'power cut, disks are blank'
      rackwright clear --all --yes
    """  # noqa: D301 - \b keeps click from reflowing the list
    require_one_way(machines, select, everything=everything)
    require_keepable(reason)
    fleet = project.fleet
    clearings = Clearings(project.database, fleet)
    if machines:
        found = clearings.of_names(machines)
    elif select:
        found = clearings.of_machines(filtered(fleet, MachineFilter(select)))
    else:
        found = clearings.of_all()
    if not found:
        click.echo("there was nothing to clear")
        return 0
    if not yes and (len(found) > 1 or not machines):
        _confirm(found, outcome)
    failed = False
    for each in found:
        name = for_terminal(each.machine)
        try:
            done = clearings.clear(each, OperationState(outcome), getuser(), reason, utc_now())
        except StateError as error:
            failed = True
            click.echo(f"{name}: {error}", err=True)
            continue
        click.echo(f"{name}: {'; '.join(done) or 'there was nothing to clear'}")
    return 1 if failed else 0


def _confirm(found: Sequence[Clearing], outcome: str) -> None:
    """List what would be cleared and ask; RW917 where nobody can answer."""
    for each in found:
        findings = "; ".join(each.findings) or "there is nothing to clear"
        click.echo(f"{for_terminal(each.machine)}: {for_terminal(findings)}", err=True)
    question = f"Clear {len(found):,} machine(s), operations of unknown outcome as {outcome}?"
    confirm_listed(question, "nothing was cleared")
