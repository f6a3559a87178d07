"""``rackwright exec``: a command once on installed systems."""

from pathlib import Path

import click

from reconciler.app.inline_work import command
from reconciler.app.project import Project
from reconciler.cli.by_hand import Order, by_hand_options, on_option
from reconciler.cli.hand_results import carried_out


@click.command(name="exec")
@click.argument("argv", nargs=-1, required=True, metavar="-- COMMAND [ARGUMENT]...")
@on_option
@click.option(
    "--timeout",
    default="5m",
    show_default=True,
    metavar="DURATION",
    help="After this long it is ended with all that it started. Between 1s and 1w.",
)
@click.option(
    "--user-session", is_flag=True, help="As the person whose session is in front at the machine."
)
@by_hand_options
def exec(  # noqa: A001, PLR0913, PLR0917 - the command's name; one argument per option
    project: Project,
    argv: tuple[str, ...],
    on: tuple[str, ...],
    timeout: str,
    reason: str,
    boot_files: Path,
    output_format: str,
    yes: int | None,
    *,
    user_session: bool,
    no_wait: bool,
) -> int:
    """Run a command once on installed systems. No shell reads it; it runs as root.

    It is work like a scenario's step `run`: shown as by `plan`, agreed to, approved, kept in
    the ledger with the command itself, and done in its turn by the agents. Write no secret into
    it. What it printed is shown once for all machines where it printed the same.

    \b
    Examples:
      rackwright exec --on node-07 --reason 'time is off' -- chronyc makestep
      rackwright exec --on 'group=tokyo/**' --reason audit --yes -- uname -r

    Exit code 0 when it ended with 0 everywhere (with --no-wait: approved); 1 when not, or where
    it could not be started; 4 when more approvals are needed; 130 after Ctrl-C: the work goes on.
    """  # noqa: D301 - \b keeps click from reflowing the list
    scenario = command(argv, timeout, in_session=user_session)
    order = Order(project, scenario, on, reason, boot_files, yes, "exec", no_wait=no_wait)
    return carried_out(order, output_format)
