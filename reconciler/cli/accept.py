"""``rackwright accept``: a person's word for a commit that was refused."""

from pathlib import Path

import click

from reconciler.app.approvals import PlanApprovals
from reconciler.app.cancel import require_reason
from reconciler.app.project import Project, utc_now
from reconciler.cli.agreement import who
from reconciler.cli.approving import approver
from reconciler.cli.options import repo_option, state_option
from reconciler.git.commit_policy import Refuse


@click.command()
@click.argument("commit")
@click.option(
    "--approvals",
    "with_approvals",
    is_flag=True,
    help="Also put its approval rules in force, without the approvals that the present ones ask "
    "for: the way out where those who could give them are gone.",
)
@click.option("--reason", default="", metavar="TEXT", help="Why, with --approvals; it is kept.")
@repo_option
@state_option
def accept(commit: str, repo: str, state: Path, reason: str, *, with_approvals: bool) -> int:
    """Go on from COMMIT, whatever its history and its signature are.

    For a history that was rewritten on purpose, and for signers that can sign no more.
    COMMIT must be valid otherwise. The commits after it are judged as usual: they must
    continue it, and be signed by the signers that it lists. A running `serve` takes it
    at once where the branch that it follows has it. Nothing is carried out.
    """
    if with_approvals:
        require_reason(reason)
    project = Project(repo, commit, state)
    policy = project.fleet.settings.commits
    named = project.source.own_commit
    last = project.revision_policy.last
    if last is not None and named is not None and last.commit == named.id:
        click.echo(f"{project.describe} is the last accepted commit already")
        _put_in_force(project, reason, with_approvals=with_approvals)
        return 0
    decision = project.decision
    because = decision.error.code if isinstance(decision, Refuse) else decision.reason
    actor = who()
    project.take_over(project.fleet, named, actor, f"by hand ({because})", utc_now())
    click.echo(f"accepted {project.describe}")
    if isinstance(decision, Refuse):
        click.echo(f"although {decision.error}")
    if last is not None:
        click.echo(f"in place of {last.commit[:12]}, accepted by {last.actor} at {last.at}")
    if policy.verify == "none":
        click.echo("the commits after it need no signature")
    else:
        signers = ", ".join(signer.name for signer in policy.signers)
        click.echo(f"the commits after it must be signed ({policy.verify}) by one of: {signers}")
    _put_in_force(project, reason, with_approvals=with_approvals)
    return 0


def _put_in_force(project: Project, reason: str, *, with_approvals: bool) -> None:
    if with_approvals:
        PlanApprovals(project, utc_now()).take_over_by_hand(approver(), reason)
        click.echo("its approval rules are in force")
