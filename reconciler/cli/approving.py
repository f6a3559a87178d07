"""Approving what was shown: by the rules of the fleet, once a person agreed to it."""

from datetime import datetime

from rich.console import Console
from rich.text import Text

from reconciler.app.approvals import Answer, Approver, PlanApprovals
from reconciler.app.project import Project
from reconciler.cli.agreement import confirm, who
from reconciler.cli.login import login
from reconciler.planning.approvals import Subject
from reconciler.views import plan_words
from reconciler.views.untrusted import for_terminal

WAITS = 4
"""The exit code where more approvals are needed."""


def approver() -> Approver:
    """Return who gives this command."""
    return Approver(login(), who())


def approve(  # noqa: PLR0913 - what is approved, by whose agreement, and where it is said
    project: Project,
    subject: Subject,
    now: datetime,
    *,
    yes: int | None,
    reason: str,
    screen: Console,
) -> Answer:
    """Have a person agree and record the approval; say what is missing after it.

    Raises as ``PlanApprovals.require_may`` before anybody is asked.
    """
    PlanApprovals(project, now).require_may(subject, approver())
    confirm(subject.request.digest, subject.disks, yes)
    project.accept(who(), now)
    answer = PlanApprovals(project, now).give(subject, approver(), reason)
    if not answer.complete:
        _say_what_is_missing(screen, subject, answer)
    return answer


def _say_what_is_missing(screen: Console, subject: Subject, answer: Answer) -> None:
    digest = subject.request.digest[: plan_words.SHORT]
    screen.print(f"plan {digest} waits for approvals:")
    for each in answer.requirements:
        if each.missing:
            screen.print(Text(for_terminal(f"  {plan_words.requirement(each)}")))
    screen.print(f"They give theirs with `rackwright approve {digest} --reason TEXT`.")
