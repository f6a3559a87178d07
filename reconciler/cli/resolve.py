"""``rackwright resolve``: say how work of unknown outcome ended."""

import click

from reconciler.app.cancel import require_reason
from reconciler.app.clear import require_one_way
from reconciler.app.machine_selection import MachineFilter, some
from reconciler.app.project import Project, utc_now
from reconciler.app.resolve import Resolutions, require_meant_together
from reconciler.cli.agreement import confirm_listed, confirm_number, who
from reconciler.cli.options import project_options, select_option
from reconciler.views.console import console
from reconciler.views.unresolved_text import Unresolved, unresolved_parts
from reconciler.views.untrusted import for_terminal


@click.command()
@click.argument("machines", nargs=-1, metavar="[MACHINE]...")
@select_option
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="One answer for all of them; without names or --select, for all that there is.",
)
@click.option(
    "--did-run/--did-not-run",
    "did_run",
    default=None,
    help="How it ended, as you found it. Without either, what is known is shown, no more.",
)
@click.option("--reason", default="", metavar="TEXT", help="What you found; kept in the history.")
@click.option(
    "--yes",
    is_flag=False,
    flag_value=1,
    type=click.IntRange(min=1),
    metavar="[COUNT]",
    help="Do not ask. COUNT is the number of operations, where it is more than one.",
)
@project_options
def resolve(  # noqa: PLR0913 - one argument per option
    project: Project,
    machines: tuple[str, ...],
    select: str,
    reason: str,
    yes: int | None,
    *,
    everything: bool,
    did_run: bool | None,
) -> int:
    """Say how operations ended of which nobody knows.

    What is known of each is shown first: its steps with times and bytes, its last word, the boot
    requests since, what the installed agent and the disks say. With --did-run the work counts as
    verified, by you. With --did-not-run it is cancelled, and the disks are looked at before
    anything else is done to them. Nothing runs again by itself: give the assignment a new run
    token, or use `rackwright run`.

    \b
    Examples:
      rackwright resolve node-07
      rackwright resolve node-07 --did-run --reason 'it boots and is as it should be'
      rackwright resolve --all --did-not-run --reason 'power cut, the disks are blank' --yes=3
    """  # noqa: D301 - \b keeps click from reflowing the list
    if did_run is not None:
        require_reason(reason)
    if machines or select or not everything:
        require_one_way(machines, select, everything=False)
    project.require_state()
    resolutions = Resolutions(project.database, project.fleet, utc_now())
    found = _found(resolutions, project, machines, select)
    if not found:
        click.echo("there is nothing of unknown outcome")
        return 0
    screen = console(stderr=did_run is not None)
    now = utc_now()
    for each in found:
        for part in unresolved_parts(each, now):
            screen.print(part)
    if did_run is None:
        click.echo("say --did-run or --did-not-run, with --reason, to end it", err=True)
        return 1
    require_meant_together(found, everything=everything)
    _confirm(found, yes, did_run=did_run)
    resolutions.resolve(found, who(), reason, did_run=did_run)
    outcome = "verified" if did_run else "cancelled; its disks are looked at before anything else"
    for each in found:
        click.echo(for_terminal(f"{each.status.operation.machine}: {outcome}"))
    return 0


def _found(
    resolutions: Resolutions, project: Project, machines: tuple[str, ...], select: str
) -> tuple[Unresolved, ...]:
    if machines:
        return resolutions.of_names(machines)
    if select:
        return resolutions.of_machines(some(project.fleet, MachineFilter(select)))
    return resolutions.of_all()


def _confirm(found: tuple[Unresolved, ...], yes: int | None, *, did_run: bool) -> None:
    """Have a person agree; of several, by their number."""
    said = "did run" if did_run else "did not run"
    number = len(found)
    if number > 1:
        question = f"Type {number} to say that these {number} operations {said}"
        confirm_number(question, number, yes, "nothing was resolved")
    elif yes is None:
        confirm_listed(f"Say that it {said}?", "nothing was resolved")
