"""``rackwright apply``: carry out exactly one plan."""

from pathlib import Path

import click
from rich.text import Text

from reconciler.app.approvals import PlanApprovals
from reconciler.app.cancel import require_keepable
from reconciler.app.project import Project, utc_now
from reconciler.app.reviewed_plan import select
from reconciler.cli.agreement import who, yes_option
from reconciler.cli.approving import WAITS, approve
from reconciler.cli.follow import follow
from reconciler.cli.options import FILE, boot_files_option, format_option, project_options
from reconciler.cli.serving import require_able_to_serve
from reconciler.server.state_lock import is_served
from reconciler.views.console import console
from reconciler.views.plan_text import plan_text
from reconciler.views.untrusted import for_terminal


@click.command()
@click.argument("planfile", required=False, type=FILE)
@project_options
@boot_files_option
@format_option
@yes_option
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the approval.")
def apply(  # noqa: PLR0913, PLR0917 - one argument per option
    project: Project,
    planfile: Path | None,
    boot_files: Path,
    output_format: str,
    yes: int | None,
    reason: str,
) -> int:
    """Carry out exactly one plan and watch it to its end.

    PLANFILE is what `plan --out` wrote: machines whose plan changed since are
    refused one by one, the rest is carried out. Without it the plan of this moment
    is shown and carried out. A commit that is not acceptable, for its signature or
    because it does not continue the last accepted one, is refused as a whole. Where no
    `rackwright serve` runs on the state directory, this command serves until the work
    has ended. Where the fleet's rules want more approvals than yours, yours is kept, and who
    can give the others is said.

    \b
    Exit codes: 0 all done or nothing to do, 1 something failed or was refused, 4 more
    approvals are needed.
    """  # noqa: D301 - \b keeps click from reflowing the list
    require_keepable(reason)
    now = utc_now()
    project.require_ledger()
    project.require_acceptable()
    plan = project.plan(now)
    for note in project.notes:
        click.echo(note, err=True)
    screen = console(stderr=output_format == "json")
    if planfile is None:
        screen.print(plan_text(plan, project.announcement, now), highlight=False)
    chosen, refused, digest = select(plan, planfile)
    for machine, why in refused:
        screen.print(Text(for_terminal(f"refused: {machine}: {why}"), style="yellow"))
    running = tuple(item for item in plan.items if item.running)
    if not chosen and not running:
        if not plan.empty:
            screen.print("There is nothing that could be started now.")
        return 1 if refused or not plan.empty else 0
    if not is_served(project.state):
        require_able_to_serve(boot_files)
    if chosen:
        subject = PlanApprovals(project, now).subject_of(plan, chosen, "apply", reason, digest)
        if not approve(project, subject, now, yes=yes, reason=reason, screen=screen).complete:
            return WAITS
    else:
        project.accept(who(), now)
    watched = [item.operation.op_id for item in (*chosen, *running) if item.operation]
    all_well = follow(project, boot_files, watched, output_format)
    return 0 if all_well and not refused else 1
