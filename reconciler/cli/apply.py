"""``rackwright apply``: carry out exactly one plan."""

from getpass import getuser
from pathlib import Path
from socket import gethostname

import click
from rich.text import Text

from reconciler.app.preflight import require_able_to_serve
from reconciler.app.project import Project, utc_now
from reconciler.app.reviewed_plan import select
from reconciler.cli.agreement import confirm, yes_option
from reconciler.cli.follow import follow
from reconciler.cli.options import (
    boot_files_option,
    format_option,
    ref_option,
    repo_option,
    state_option,
)
from reconciler.loop.approval import approve
from reconciler.server.service import is_served
from reconciler.state.ledger import Ledger
from reconciler.views.console import console
from reconciler.views.plan_text import print_plan
from reconciler.views.untrusted import for_terminal


@click.command()
@click.argument("planfile", required=False, type=click.Path(dir_okay=False, path_type=Path))
@repo_option
@ref_option
@state_option
@boot_files_option
@format_option
@yes_option
def apply(  # noqa: PLR0913, PLR0917 - one argument per option
    planfile: Path | None,
    repo: str,
    ref: str | None,
    state: Path,
    boot_files: Path,
    output_format: str,
    yes: int | None,
) -> int:
    """Carry out exactly one plan and watch it to its end.

    PLANFILE is what `plan --out` wrote: machines whose plan changed since are
    refused one by one, the rest is carried out. Without it the plan of this moment
    is shown and carried out. A commit that is not acceptable, for its signature or
    because it does not continue the last accepted one, is refused as a whole. Where no
    `rackwright serve` runs on the state directory, this command serves until the work
    has ended.

    \b
    Exit codes: 0 all done or nothing to do, 1 something failed or was refused.
    """  # noqa: D301 - \b keeps click from reflowing the list
    project = Project(repo, ref, state)
    now = utc_now()
    project.require_acceptable()
    plan = project.plan(now)
    screen = console(stderr=output_format == "json")
    if planfile is None:
        print_plan(screen, plan, project.announcement, now)
    chosen, refused = select(plan, planfile)
    for machine, reason in refused:
        screen.print(Text(for_terminal(f"refused: {machine}: {reason}"), style="yellow"))
    running = tuple(item for item in plan.items if item.running)
    if not chosen and not running:
        if not plan.empty:
            screen.print("There is nothing that could be started now.")
        return 1 if refused or not plan.empty else 0
    if not is_served(state):
        require_able_to_serve(boot_files)
    actor = f"{getuser()}@{gethostname()}"
    if chosen:
        confirm(plan, sum(len(item.disks) for item in chosen), yes)
    project.accept(actor, now)
    if chosen:
        approve(Ledger(project.database), plan, chosen, actor, now)
    watched = [item.operation.op_id for item in (*chosen, *running) if item.operation]
    all_well = follow(project, boot_files, watched, output_format)
    return 0 if all_well and not refused else 1
