"""``rackwright clear``: a person's word where the server must not guess."""

from getpass import getuser
from pathlib import Path

import click

from reconciler.cli.options import state_option


@click.command()
@click.argument("machine")
@click.option(
    "--as",
    "outcome",
    type=click.Choice(["verified", "failed"]),
    default="failed",
    show_default=True,
    help="How an operation of unknown outcome ended, as you found it.",
)
@state_option
def clear(machine: str, outcome: str, state: Path) -> int:
    """Lift MACHINE's quarantine and settle its operations of unknown outcome.

    Nothing is run again: for that, give the assignment a new run token.
    """
    from reconciler.cli.workspace import utc_now  # noqa: PLC0415
    from reconciler.ledger.ledger import Ledger  # noqa: PLC0415
    from reconciler.ledger.states import OperationState  # noqa: PLC0415
    from reconciler.store.database import open_database  # noqa: PLC0415
    from reconciler.store.observations import Observations  # noqa: PLC0415

    database = open_database(state / "rackwright.db")
    ledger = Ledger(database)
    done = []
    if Observations(database).clear_quarantine(machine):
        done.append("quarantine lifted")
    for status in ledger.operations(machine=machine):
        if status.state is OperationState.INDETERMINATE:
            ledger.move(
                status.operation.op_id,
                status.state,
                OperationState(outcome),
                attempt=status.attempt,
                at=utc_now(),
                actor=getuser(),
                reason=f"{getuser()} looked at the machine",
            )
            done.append(f"operation {status.operation.op_id[:12]} is {outcome}")
    click.echo(f"{machine}: {'; '.join(done) or 'there was nothing to clear'}")
    return 0
