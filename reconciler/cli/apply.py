"""``rackwright apply``: carry out exactly one plan."""

import asyncio
from collections.abc import Sequence
from getpass import getuser
from pathlib import Path
from socket import gethostname

import click
from rich.text import Text

from reconciler.app.project import Project, utc_now
from reconciler.app.reviewed_plan import select
from reconciler.cli.options import FILE, boot_files_option, format_option, project_options
from reconciler.cli.serving import configure_log, require_able_to_serve
from reconciler.errors import ReconcilerError
from reconciler.loop.approval import approve
from reconciler.planning.plan import Plan
from reconciler.server.service import Service, ServiceSettings, is_served
from reconciler.state.ledger import Ledger
from reconciler.state.operation_states import ENDED, OperationState
from reconciler.views.console import console
from reconciler.views.plan_text import plan_text
from reconciler.views.progress import Show, progress_view
from reconciler.views.untrusted import for_terminal

_REFRESH = 0.25
_SETTLED = ENDED | {OperationState.INDETERMINATE}


@click.command()
@click.argument("planfile", required=False, type=FILE)
@project_options
@boot_files_option
@format_option
@click.option(
    "--yes",
    is_flag=False,
    flag_value=0,
    type=click.IntRange(min=0),
    default=None,
    metavar="[COUNT]",
    help="Do not ask. COUNT is the number of disks that you agree to overwrite "
    "(`--yes=3`); without it destructive plans are refused.",
)
def apply(
    project: Project, planfile: Path | None, boot_files: Path, output_format: str, yes: int | None
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
    now = utc_now()
    project.require_acceptable()
    plan = project.plan(now)
    screen = console(stderr=output_format == "json")
    if planfile is None:
        screen.print(plan_text(plan, project.announcement, now), highlight=False)
    chosen, refused = select(plan, planfile)
    for machine, reason in refused:
        screen.print(Text(for_terminal(f"refused: {machine}: {reason}"), style="yellow"))
    running = tuple(item for item in plan.items if item.running)
    if not chosen and not running:
        if not plan.empty:
            screen.print("There is nothing that could be started now.")
        return 1 if refused or not plan.empty else 0
    if not is_served(project.state):
        require_able_to_serve(boot_files)
    actor = f"{getuser()}@{gethostname()}"
    if chosen:
        _confirm(plan, sum(len(item.disks) for item in chosen), yes)
    project.accept(actor, now)
    if chosen:
        approve(Ledger(project.database), plan, chosen, actor, now)
    watched = [item.operation.op_id for item in (*chosen, *running) if item.operation]
    configure_log(quiet=True)
    with progress_view(output_format) as show:
        all_well = asyncio.run(_follow(project, boot_files, watched, show))
    return 0 if all_well and not refused else 1


def _confirm(plan: Plan, disks: int, yes: int | None) -> None:
    if yes is not None:
        if yes != disks:
            raise ReconcilerError(
                "RW905",
                f"the plan overwrites {disks} disk(s), the agreement is for {yes}",
                f"Review plan {plan.digest[:12]}; to agree, say `--yes={disks}`",
            )
        return
    if disks:
        question = f"\nType {disks} to overwrite {disks} disk(s)"
        answer = click.prompt(question, default="", show_default=False, err=True)
        agreed = answer.strip() == str(disks)
    else:
        agreed = click.confirm("\nCarry out this plan?", err=True)
    if not agreed:
        raise click.Abort


async def _follow(
    project: Project, boot_files: Path, operations: Sequence[str], show: Show
) -> bool:
    """Show the operations until all have ended, serving meanwhile where nobody else does.

    Returns whether all are verified.
    """
    if is_served(project.state):
        return await _watch(Ledger(project.database), operations, show)
    settings = ServiceSettings(state=project.state, boot_files=boot_files)
    async with Service(settings, project.fleet, project.database, utc_now):
        return await _watch(Ledger(project.database), operations, show)


async def _watch(ledger: Ledger, operations: Sequence[str], show: Show) -> bool:
    while True:
        statuses = [status for op_id in operations for status in ledger.operations(op_id=op_id)]
        show(statuses, utc_now())
        if all(status.state in _SETTLED for status in statuses):
            return all(status.state is OperationState.VERIFIED for status in statuses)
        await asyncio.sleep(_REFRESH)
