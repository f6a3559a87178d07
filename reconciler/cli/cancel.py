"""``rackwright cancel``: stop work that has not ended."""

import click

from reconciler.app.cancel import Cancellable, Cancellations, require_reason
from reconciler.app.machine_selection import MachineFilter, some
from reconciler.app.project import Project, utc_now
from reconciler.cli.agreement import confirm_listed, who
from reconciler.cli.options import project_options, select_option
from reconciler.errors import ReconcilerError, StateError
from reconciler.state.runs import Runs
from reconciler.views.untrusted import for_terminal


@click.command()
@click.argument("machines", nargs=-1, metavar="[MACHINE]...")
@select_option
@click.option("--run", "run_id", default="", metavar="ID", help="All that is under way of a run.")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the history.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@project_options
def cancel(  # noqa: PLR0913 - one argument per option
    project: Project,
    machines: tuple[str, ...],
    select: str,
    run_id: str,
    reason: str,
    *,
    yes: bool,
) -> int:
    """Cancel what is under way on machines, at any step.

    Work that has not begun simply does not begin. An agent at work stops within seconds: a
    disk that it was writing is left as it is, and what that means is said before it is done.
    Nothing runs again by itself: for that, give the assignment a new run token.

    \b
    Examples:
      rackwright cancel node-07 --reason 'wrong image'
      rackwright cancel --run 20261128-1830 --reason 'the switch is being replaced'

    Exit code 0 when all of it is cancelled or nothing was under way; 1 when some could not be.
    """  # noqa: D301 - \b keeps click from reflowing the list
    require_reason(reason)
    if sum(map(bool, (machines, select, run_id))) != 1:
        raise ReconcilerError(
            "RW945",
            "it is not clear what to cancel",
            "Name machines, or choose them with --select, or a run with --run",
        )
    project.require_state()
    cancellations = Cancellations(project.database, project.fleet)
    found = _found(cancellations, project, machines, select, run_id)
    if not found:
        click.echo("nothing is under way there")
        return 0
    for each in found:
        click.echo(_line(each), err=True)
    if not yes:
        confirm_listed(f"Cancel {len(found):,} operation(s)?", "nothing was cancelled")
    actor, failed = who(), False
    for each in found:
        try:
            consequence = cancellations.cancel(each, actor, reason, utc_now())
        except (ReconcilerError, StateError) as error:
            failed = True
            click.echo(for_terminal(str(error)), err=True)
        else:
            name = each.status.operation.machine
            click.echo(for_terminal(f"{name}: cancelled, {consequence}"))
    return 1 if failed else 0


def _found(
    cancellations: Cancellations,
    project: Project,
    machines: tuple[str, ...],
    select: str,
    run_id: str,
) -> tuple[Cancellable, ...]:
    if run_id:
        return cancellations.of_run(Runs(project.database).find(run_id))
    if select:
        return cancellations.of_machines(some(project.fleet, MachineFilter(select)))
    return cancellations.of_names(machines)


def _line(each: Cancellable) -> str:
    status = each.status
    operation = status.operation
    what = f"{operation.scenario} run {operation.run} is {status.state}"
    then = each.refusal or each.consequence
    return for_terminal(f"{operation.machine}: {what}: {then}")
