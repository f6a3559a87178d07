"""``rackwright message``: a line for the people at machines."""

from pathlib import Path

import click

from reconciler.app.inline_work import message as message_scenario
from reconciler.app.project import Project
from reconciler.cli.by_hand import Order, by_hand_options, on_option
from reconciler.cli.hand_results import carried_out


@click.command()
@click.argument("text")
@on_option
@by_hand_options
def message(  # noqa: PLR0913, PLR0917 - one argument per option
    project: Project,
    text: str,
    on: tuple[str, ...],
    reason: str,
    boot_files: Path,
    output_format: str,
    yes: int | None,
    *,
    no_wait: bool,
) -> int:
    """Show a line to the people at machines: on terminals, consoles and desktops.

    For each machine it is said where it was shown. Nobody is asked before; the text is the
    reason where none is given.

    \b
    Examples:
      rackwright message --on 'group=tokyo/**' 'The network is down from 18:00 to 18:10'

    Exit codes as of `rackwright exec`.
    """  # noqa: D301 - \b keeps click from reflowing the list
    order = Order(
        project,
        message_scenario(text),
        on,
        reason or f"says: {text}",
        boot_files,
        yes,
        "message",
        is_asked=False,
        no_wait=no_wait,
    )
    return carried_out(order, output_format)
