"""``rackwright run``: a scenario on some machines, beside what documents assign to them."""

from pathlib import Path

import click

from reconciler.app.by_hand import plan_of_run
from reconciler.app.project import Project, utc_now
from reconciler.cli.agreement import confirm, who, yes_option
from reconciler.cli.follow import follow
from reconciler.cli.options import boot_files_option, format_option, project_options
from reconciler.cli.serving import require_able_to_serve
from reconciler.loop.approval import approve
from reconciler.planning.item import Risk
from reconciler.server.service import is_served
from reconciler.state.ledger import Ledger
from reconciler.views.console import console
from reconciler.views.plan_text import plan_text


@click.command()
@click.argument("scenario")
@click.option(
    "--on",
    multiple=True,
    required=True,
    metavar="NAME|SELECTOR",
    help="On which machines: a name, or conditions as in `status --select`. May be given again.",
)
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the run.")
@click.option("--no-wait", is_flag=True, help="Do not watch it: return once it is approved.")
@project_options
@boot_files_option
@format_option
@yes_option
def run(  # noqa: PLR0913, PLR0917 - one argument per option
    project: Project,
    scenario: str,
    on: tuple[str, ...],
    reason: str,
    boot_files: Path,
    output_format: str,
    yes: int | None,
    *,
    no_wait: bool,
) -> int:
    """Run SCENARIO on some machines now, for a reason that is kept.

    What would happen is shown first, as by `plan`, and asked about. Work that is under way on
    a machine comes first: this follows it. Documents are not changed, and what they assign
    stays assigned.

    \b
    Examples:
      rackwright run inspect --on node-07 --reason 'new disk'
      rackwright run clone-golden --on 'group=tokyo/row2' --reason 'fan tray recall' --yes=40

    Exit code 0 when all is verified (with --no-wait: approved); 1 when something failed or
    could not be started.
    """  # noqa: D301 - \b keeps click from reflowing the list
    now = utc_now()
    project.require_acceptable()
    plan = plan_of_run(project, scenario, on, reason, now)
    screen = console(stderr=output_format == "json")
    screen.print(plan_text(plan, project.announcement, now, command="run"), highlight=False)
    chosen = plan.to_apply
    if not chosen:
        screen.print("There is nothing that could be started now.")
        return 1
    if not no_wait and not is_served(project.state):
        require_able_to_serve(boot_files)
    confirm(plan, sum(len(item.disks) for item in chosen), yes)
    actor = who()
    project.accept(actor, now)
    made = approve(Ledger(project.database), plan, chosen, actor, now, kind="run", reason=reason)
    assert made is not None  # noqa: S101 - something is chosen
    screen.print(f"run {made.run_id}")
    inspected = sum(item.risk is Risk.UNKNOWN for item in chosen)
    if inspected:
        then = "say it again once their disks are known"
        screen.print(f"{inspected:,} machine(s) are only looked at: {then}")
    complete = len(chosen) == len(plan.items) and not inspected
    if no_wait:
        return 0 if complete else 1
    watched = [item.operation.op_id for item in chosen if item.operation]
    return 0 if follow(project, boot_files, watched, output_format) and complete else 1
