"""``rackwright lock``: which machines may restart by themselves, and ending that."""

from json import dumps

import click

from reconciler.app.cancel import require_reason
from reconciler.app.project import Project, utc_now
from reconciler.cli.agreement import who
from reconciler.cli.options import format_option, project_options
from reconciler.errors import ReconcilerError
from reconciler.state.reboot_locks import RebootLocks
from reconciler.views.reboot_locks import lock_document, lock_line
from reconciler.views.untrusted import for_terminal


@click.group()
def lock() -> None:
    """List the machines that hold the reboot lock, or release one.

    A machine that updates itself takes the lock before it restarts and gives it back when it is
    up again. Until then it counts as disruptive work.
    """


@lock.command()
@project_options
@format_option
def ls(project: Project, output_format: str) -> None:
    """List the locks that are held, the oldest first."""
    project.require_state()
    found = RebootLocks(project.database).held()
    if output_format == "json":
        click.echo(dumps({"locks": [lock_document(each) for each in found]}, indent=2))
        return
    for each in found:
        click.echo(for_terminal(lock_line(each, utc_now())))
    if not found:
        click.echo("no machine holds the reboot lock")


@lock.command()
@click.argument("name", metavar="MACHINE")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept.")
@project_options
def release(project: Project, name: str, reason: str) -> None:
    """Release the lock of MACHINE, a name or the id that `lock ls` shows.

    Other machines may then restart in its place. Look first whether it is down: it was about to
    restart and has not said since that it is up.

    \b
    Example:
      rackwright lock release node-07 --reason 'its power supply is broken'
    """  # noqa: D301 - \b keeps click from reflowing the list
    require_reason(reason)
    project.require_state()
    locks = RebootLocks(project.database)
    found = [each for each in locks.held() if name in {each.machine, each.client}]
    if not found:
        raise ReconcilerError(
            "RW660", f"{name} holds no reboot lock", "List those that do with `rackwright lock ls`"
        )
    for each in found:
        locks.release(each.client, [each.hardware], utc_now(), who(), reason)
        click.echo(for_terminal(f"released: {lock_line(each, utc_now())}"))
