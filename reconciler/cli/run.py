"""``rackwright run``: a scenario on some machines, beside what documents assign to them."""

from datetime import datetime
from pathlib import Path

import click
from pydantic import TypeAdapter, ValidationError

from reconciler.app.approvals import PlanApprovals
from reconciler.app.by_hand import plan_of_run
from reconciler.app.project import Project, utc_now
from reconciler.cli.agreement import yes_option
from reconciler.cli.approving import WAITS, approve
from reconciler.cli.follow import follow
from reconciler.cli.options import boot_files_option, format_option, project_options
from reconciler.cli.serving import require_able_to_serve
from reconciler.planning.item import Risk
from reconciler.server.state_lock import is_served
from reconciler.views.console import console
from reconciler.views.plan_text import plan_text
from specs.types.timestamp import Timestamp


class Moment(click.ParamType[datetime]):
    """A moment with its offset from UTC, written as in documents."""

    name = "moment"

    def convert(
        self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the moment."""
        try:
            return TypeAdapter[datetime](Timestamp).validate_python(value)
        except ValidationError as error:
            self.fail(error.errors()[0]["msg"], param, ctx)


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
@click.option(
    "--at",
    "not_before",
    type=Moment(),
    help="Not before this moment, such as 2026-12-01T06:00:00+09:00. Implies --no-wait.",
)
@click.option(
    "--next-start",
    is_flag=True,
    help="When somebody starts the machine next; it is neither woken nor restarted. Implies "
    "--no-wait.",
)
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
    not_before: datetime | None,
    *,
    next_start: bool,
    no_wait: bool,
) -> int:
    """Run SCENARIO on some machines, for a reason that is kept.

    What would happen is shown first, as by `plan`, and asked about. Work that is under way on
    a machine comes first: this follows it. Documents are not changed, and what they assign
    stays assigned.

    \b
    Examples:
      rackwright run inspect --on node-07 --reason 'new disk'
      rackwright run clone-golden --on 'group=tokyo/row2' --reason 'fan tray recall' --yes=40
      rackwright run backup --on node-07 --reason 'before the move' --next-start

    Exit code 0 when all is verified (with --no-wait: approved); 1 when something failed or
    could not be started; 4 when more approvals are needed.
    """  # noqa: D301 - \b keeps click from reflowing the list
    now = utc_now()
    project.require_ledger()
    project.require_acceptable()
    plan = project.with_requirements(plan_of_run(project, scenario, on, reason, now), now)
    screen = console(stderr=output_format == "json")
    screen.print(plan_text(plan, project.announcement, now, command="run"), highlight=False)
    chosen = plan.to_apply
    if not chosen:
        screen.print("There is nothing that could be started now.")
        return 1
    no_wait = no_wait or next_start or not_before is not None
    if not no_wait and not is_served(project.state):
        require_able_to_serve(boot_files)
    subject = PlanApprovals(project, now).subject_of(
        plan,
        chosen,
        "run",
        reason,
        trigger="next-boot" if next_start else "",
        not_before=not_before,
    )
    made = approve(project, subject, now, yes=yes, reason=reason, screen=screen).run
    if made is None:
        return WAITS
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
