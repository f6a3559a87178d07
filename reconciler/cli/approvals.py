"""``rackwright approvals``: what waits for approvals, who gave which, and until when."""

from json import dumps

import click

from reconciler.app.approvals import PlanApprovals
from reconciler.app.cancel import require_reason
from reconciler.app.project import Project, utc_now
from reconciler.cli.approving import approver
from reconciler.cli.options import format_option, project_options
from reconciler.errors import ReconcilerError
from reconciler.views.approval_text import waiting_document, waiting_parts
from reconciler.views.console import console
from specs.diagnostics.quote import counted


@click.command()
@click.option("--withdraw", default="", metavar="DIGEST", help="Take your approval of a plan back.")
@click.option("--reason", default="", metavar="TEXT", help="Why it is taken back.")
@project_options
@format_option
def approvals(project: Project, withdraw: str, reason: str, output_format: str) -> int:
    """List the plans that wait for approvals, and the approved ones that wait for their turn.

    An approval that was withdrawn counts no more: what it let wait for its turn is planned again.
    What was begun goes on; `rackwright cancel` stops it.

    \b
    Examples:
      rackwright approvals
      rackwright approvals --withdraw 5b1f3c0a9d2e --reason 'wrong image'
    """  # noqa: D301 - \b keeps click from reflowing the list
    found = PlanApprovals(project, utc_now())
    if withdraw:
        require_reason(reason)
        request = found.asked_for(withdraw)
        if request is None:
            raise ReconcilerError(
                "RW966",
                f"no plan that was to be approved begins with {withdraw}",
                "List them with `rackwright approvals`",
            )
        back = found.withdraw(request, approver(), reason)
        then = f"; {counted(back, 'operation')} planned again" if back else ""
        click.echo(f"withdrawn{then}")
        return 0
    waiting = found.waiting()
    if output_format == "json":
        click.echo(dumps({"approvals": [waiting_document(each) for each in waiting]}, indent=2))
    elif not waiting:
        click.echo("nothing waits for approvals")
    else:
        screen = console()
        for each in waiting:
            for part in waiting_parts(each):
                screen.print(part)
    return 0
