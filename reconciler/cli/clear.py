"""``rackwright clear``: a person's word where the server must not guess."""

from getpass import getuser
from pathlib import Path

import click

from reconciler.cli.options import ref_option, repo_option, state_option


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
@repo_option
@ref_option
@state_option
def clear(machine: str, outcome: str, repo: str, ref: str | None, state: Path) -> int:
    """Lift MACHINE's quarantine and settle its operations of unknown outcome.

    MACHINE is the name in the repository; where no machine has it, the name that the
    hardware had when it was last worked on. Nothing is run again: for that, give the
    assignment a new run token.
    """
    from reconciler.app.project import Project, utc_now  # noqa: PLC0415
    from reconciler.state.ledger import Ledger  # noqa: PLC0415
    from reconciler.state.machines import Machines  # noqa: PLC0415
    from reconciler.state.operation_states import OperationState  # noqa: PLC0415

    project = Project(repo, ref, state)
    present = project.fleet.machines.get(machine)
    ledger = Ledger(project.database)
    identities = present.hardware_identities if present else ledger.known_as(machine)
    done = []
    if Machines(project.database).clear_quarantine(machine, identities):
        done.append("quarantine lifted")
    for status in ledger.under_way():
        if status.state is OperationState.INDETERMINATE and set(identities).intersection(
            status.operation.identities
        ):
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
