"""``rackwright clear``: end quarantines."""

from collections.abc import Sequence

import click

from reconciler.app.cancel import require_keepable
from reconciler.app.clear import Clearing, Clearings, require_one_way
from reconciler.app.machine_selection import MachineFilter, filtered
from reconciler.app.project import Project, utc_now
from reconciler.cli.agreement import confirm_listed, who
from reconciler.cli.options import project_options, select_option
from reconciler.views.untrusted import for_terminal


@click.command()
@click.argument("machines", nargs=-1, metavar="[MACHINE]...")
@select_option
@click.option("--all", "everything", is_flag=True, help="All that there is to clear.")
@click.option("--reason", default="", metavar="TEXT", help="What you found; kept in the history.")
@click.option("--yes", is_flag=True, help="Do not ask before several machines are cleared.")
@project_options
def clear(  # noqa: PLR0913 - one argument per option
    project: Project,
    machines: tuple[str, ...],
    select: str,
    reason: str,
    *,
    everything: bool,
    yes: bool,
) -> int:
    """Lift quarantines. Operations of unknown outcome are for `rackwright resolve`.

    MACHINE is the name in the repository; where no machine has it, the name that the
    hardware had when it was last worked on. With --select, --all or several names, what
    would be cleared is listed first and asked about. Nothing is run again: for that, give
    the assignment a new run token.

    \b
    Examples:
      rackwright clear node-07 --reason 'its board was replaced'
      rackwright clear --all --yes

    Exit code 0, and 1 where an operation of unknown outcome is left.
    """  # noqa: D301 - \b keeps click from reflowing the list
    require_one_way(machines, select, everything=everything)
    require_keepable(reason)
    project.require_state()
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
        _confirm(found)
    actor = who()
    for each in found:
        lifted = clearings.clear(each, actor, reason, utc_now())
        said = ["quarantine lifted"] * lifted
        said += ["the used token is shown no more"] * bool(each.replays)
        line = "; ".join((*said, *each.left)) or "there was nothing to clear"
        click.echo(for_terminal(f"{each.machine}: {line}"))
    return 1 if any(each.unresolved for each in found) else 0


def _confirm(found: Sequence[Clearing]) -> None:
    """List what would be cleared and ask; RW917 where nobody can answer."""
    for each in found:
        findings = "; ".join(each.findings) or "there is nothing to clear"
        click.echo(f"{for_terminal(each.machine)}: {for_terminal(findings)}", err=True)
    confirm_listed(f"Clear {len(found):,} machine(s)?", "nothing was cleared")
