"""``rackwright approve``: approve a plan without watching it."""

from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from reconciler.app.approvals import PlanApprovals
from reconciler.app.cancel import require_reason
from reconciler.app.project import Project, utc_now
from reconciler.app.reviewed_plan import select
from reconciler.cli.agreement import yes_option
from reconciler.cli.approving import WAITS
from reconciler.cli.approving import approve as give
from reconciler.cli.options import project_options
from reconciler.errors import ReconcilerError
from reconciler.planning.approvals import Subject
from reconciler.views.approval_text import subject_parts
from reconciler.views.console import console
from reconciler.views.plan_text import plan_text
from reconciler.views.untrusted import for_terminal

_SHORTEST = 8


@click.command()
@click.argument("plan", required=False, default="", metavar="[PLANFILE|DIGEST]")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the approval.")
@yes_option
@project_options
def approve(project: Project, plan: str, reason: str, yes: int | None) -> int:
    """Approve a plan and return; `rackwright serve` carries it out.

    PLANFILE is what `plan --out` wrote, DIGEST the beginning of a digest that `rackwright
    approvals` lists. Without either the plan of this moment is meant. What is approved is shown
    first; a disk that is overwritten is agreed to by number. Who you are is the login that the
    operating system recorded. Machines whose plan changed since are refused one by one.

    \b
    Examples:
      rackwright approve plan.json --reason 'reviewed, change 4711'
      rackwright approve 5b1f3c0a9d2e --reason 'reviewed, change 4711' --yes=3

    \b
    Exit codes: 0 approved, 1 something was refused, 4 recorded, and more approvals are needed.
    """  # noqa: D301 - \b keeps click from reflowing the list
    require_reason(reason)
    project.require_ledger()
    project.require_acceptable()
    for note in project.notes:
        click.echo(note, err=True)
    now, screen = utc_now(), console()
    subject, refused = _subject(project, plan, reason, now, screen)
    for machine, why in refused:
        screen.print(Text(for_terminal(f"refused: {machine}: {why}"), style="yellow"))
    approvals = PlanApprovals(project, now)
    if not subject.operations and not approvals.requirements(subject):
        screen.print("There is nothing to approve.")
        return 1 if refused else 0
    answer = give(project, subject, now, yes=yes, reason=reason, screen=screen)
    if not answer.complete:
        return WAITS
    if answer.run is not None:
        screen.print(f"run {answer.run.run_id} is approved")
    return 1 if refused else 0


def _subject(
    project: Project, named: str, reason: str, now: datetime, screen: Console
) -> tuple[Subject, list[tuple[str, str]]]:
    """Show what is meant; return what of it can be approved, and what cannot with the reason.

    ReconcilerError RW965 for a digest that no plan has; RW906 and RW920 as ``select``.
    """
    made = project.plan(now)
    approvals = PlanApprovals(project, now)
    if named and Path(named).is_file():
        chosen, refused, digest = select(made, Path(named))
        subject = approvals.subject_of(made, chosen, "apply", reason, digest)
    elif named and not made.digest.startswith(_long_enough(named)):
        request = approvals.asked_for(named)
        if request is None:
            raise _unknown(named)
        subject, refused = approvals.subject_asked_for(request, made)
    else:
        screen.print(plan_text(made, project.announcement, now), highlight=False)
        return approvals.subject_of(made, made.to_apply, "apply", reason), []
    for part in subject_parts(subject, project.display_names):
        screen.print(part)
    return subject, refused


def _long_enough(digest: str) -> str:
    if len(digest) < _SHORTEST:
        raise _unknown(digest)
    return digest


def _unknown(named: str) -> ReconcilerError:
    return ReconcilerError(
        "RW965",
        f"{named} is no plan file, and no plan that waits for approvals begins with it",
        f"Name a file, or {_SHORTEST} or more digits of a digest that `rackwright approvals` lists",
    )
