"""What commands that act on installed systems by hand have in common.

They plan, ask, approve and follow as ``rackwright run`` does, with a scenario of their own, and
then show what came of it on each machine.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import click

from reconciler.app.approvals import PlanApprovals
from reconciler.app.by_hand import plan_of_scenario
from reconciler.app.project import Project, utc_now
from reconciler.cli.agreement import yes_option
from reconciler.cli.approving import WAITS, approve
from reconciler.cli.follow import follow
from reconciler.cli.options import boot_files_option, format_option, project_options
from reconciler.cli.serving import require_able_to_serve
from reconciler.server.state_lock import is_served
from reconciler.state.machine_history import MachineHistory, PastOperation
from reconciler.views.console import console
from reconciler.views.plan_text import plan_text
from specs.diagnostics.quote import counted
from specs.fleet import CompiledScenario

FAILED, INTERRUPTED = 1, 130
"""Exit codes: something failed or could not be started; a person stopped watching."""
Command = TypeVar("Command", bound=Callable[..., object])


class Order(NamedTuple):
    """What a person asked for, and how."""

    project: Project
    scenario: CompiledScenario
    on: tuple[str, ...]
    reason: str
    boot_files: Path
    yes: int | None
    command: str
    """Of ``rackwright``, as the plan names it."""
    is_asked: bool = True
    """Whether the plan is shown and agreed to; what only reads or tells is not."""
    no_wait: bool = False


class Outcome(NamedTuple):
    """What became of it."""

    exit_code: int
    """Of the command, if no more goes wrong."""
    run_id: str = ""
    operations: tuple[PastOperation, ...] = ()
    """Those that have ended; none where nothing was waited for."""


def carry_out(order: Order) -> Outcome:
    """Plan, approve and follow work by hand.

    All that is said meanwhile goes to standard error. Raises as ``plan_of_scenario``,
    ``approve`` and ``follow``.
    """
    project, now = order.project, utc_now()
    project.require_ledger()
    project.require_acceptable()
    made = plan_of_scenario(project, order.scenario, order.on, order.reason, now)
    plan = project.with_requirements(made, now)
    screen = console(stderr=True)
    chosen = plan.to_apply
    is_whole = len(chosen) == len(plan.items)
    if order.is_asked or not is_whole:
        asks = order.command if order.is_asked else ""
        text = plan_text(plan, project.announcement, now, command=asks)
        screen.print(text, highlight=False)
    if not chosen:
        screen.print("There is nothing that could be started now.")
        return Outcome(FAILED)
    if not order.no_wait and not is_served(project.state):
        require_able_to_serve(order.boot_files)
    subject = PlanApprovals(project, now).subject_of(plan, chosen, "run", order.reason)
    yes = order.yes if order.is_asked else 0
    run = approve(project, subject, now, yes=yes, reason=order.reason, screen=screen).run
    if run is None:
        return Outcome(WAITS)
    screen.print(f"run {run.run_id}")
    if order.no_wait:
        screen.print(f"See what came of it: `rackwright runs results {run.run_id}`")
        return Outcome(0 if is_whole else FAILED, run.run_id)
    watched = [item.operation.op_id for item in chosen if item.operation]
    try:
        is_done = follow(project, order.boot_files, watched, "text", stderr=True)
    except KeyboardInterrupt:
        goes_on = "" if is_served(project.state) else ", once `rackwright serve` runs"
        click.echo(
            f"\nThe work goes on{goes_on}. See what came of it, or stop it:\n"
            f"  rackwright runs results {run.run_id}\n"
            f"  rackwright cancel --run {run.run_id} --reason TEXT",
            err=True,
        )
        return Outcome(INTERRUPTED, run.run_id)
    ended = MachineHistory(project.database).of_operations(watched)
    if not is_whole:
        left = counted(len(plan.items) - len(chosen), "machine")
        screen.print(f"On {left} nothing was started: the plan above says why.")
    return Outcome(0 if is_done and is_whole else FAILED, run.run_id, ended)


on_option = click.option(
    "--on",
    multiple=True,
    required=True,
    metavar="NAME|SELECTOR",
    help="On which machines: a name, or conditions as in `status --select`. May be given again.",
)
reason_option = click.option(
    "--reason",
    default="",
    metavar="TEXT",
    help="Why; kept with the run. Needed, except by `file ls` and `message`.",
)
no_wait_option = click.option(
    "--no-wait", is_flag=True, help="Do not watch it: return once it is approved."
)


def by_hand_options(command: Command) -> Callable[..., object]:
    """Give a command what all of them take: --reason, --no-wait, --yes, --format, the project."""
    with_project = project_options(command)
    for option in (boot_files_option, format_option, yes_option, no_wait_option, reason_option):
        with_project = option(with_project)
    return with_project
