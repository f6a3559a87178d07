"""A shell on the computer of a server whose image store has small images."""

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from builders.world import NOW as WORLD
from builders.world import a_disk, a_fleet, a_machine, observed, ramdisk
from builders.world import an_image as an_observed_image
from click.testing import CliRunner

from providers.imaging.image_record import RestoreTest
from providers.imaging.store import ChunkStore
from reconciler.cli.image import image
from reconciler.planning.planner import plan
from reconciler.state.database import Database, open_database
from reconciler.state.ledger import Ledger
from reconciler.state.operation_states import OperationState
from tests.unit.stored_images import store_image

NOW = datetime.now(UTC)
FAILED = RestoreTest(ok=False, details=("partition 1, ext4: bad",), at="2026-11-20T12:00:00+00:00")
HEAD = "apiVersion: rackwright/v1alpha1\n"
FLEET = (
    HEAD
    + "kind: Network\nmetadata: {name: lab}\nspec: {subnet: 10.77.0.0/24}\n---\n"
    + HEAD
    + "kind: Group\nmetadata: {name: lab}\nspec: {network: lab}\n---\n"
    + HEAD
    + "kind: Machine\nmetadata: {name: node-01}\nspec: {group: lab, hardware: {macs: "
    '["52:54:00:00:00:01"]}, assign: [{scenario: clone, run: "1"}, {scenario: nightly, run: "1"}]}'
    "\n---\n"
    + HEAD
    + "kind: Image\nmetadata: {name: golden}\n---\n"
    + HEAD
    + 'kind: Image\nmetadata: {name: "backup-{machine}"}\n---\n'
    + HEAD
    + "kind: Scenario\nmetadata: {name: clone}\nspec: {steps: [{restore: {image: golden}}]}"
    "\n---\n" + HEAD + "kind: Scenario\nmetadata: {name: nightly}\n"
    'spec: {steps: [{backup: {image: "backup-{machine}"}}]}\n'
)


class Desk:
    """A shell on the server's computer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.repo = folder / "repo"
        self.repo.mkdir()
        (self.repo / "fleet.yaml").write_text(FLEET)
        self._database: Database | None = None
        self.store = ChunkStore(self.state / "store", reserve=0)

    @property
    def database(self) -> Database:
        """The state database, made when it is needed first: that takes a second."""
        if self._database is None:
            self._database = open_database(self.state / "rackwright.db")
        return self._database

    def close(self) -> None:
        if self._database is not None:
            self._database.close()

    def __call__(self, *arguments: str, expect: int = 0) -> str:
        options = ["--state", str(self.state)]
        if arguments[0] not in {"export", "shrink", "verify"}:
            options += ["--repo", str(self.repo)]
        result = CliRunner().invoke(image, [*arguments, *options], standalone_mode=False)
        if result.exception:
            raise result.exception
        assert (result.return_value or 0) == expect
        return result.output

    def refusal(self, *arguments: str) -> str:
        with pytest.raises(Exception, match="RW") as caught:
            self(*arguments)
        return str(caught.value)

    def store_image(self, number: int, name: str = "", test: RestoreTest | None = None) -> str:
        if test is None:
            return store_image(self.store, self.folder, number, name)
        return store_image(self.store, self.folder, number, name, test)

    def work(self, scenario: str, digest: str, state: OperationState, at: datetime = NOW) -> str:
        """Let an operation stand in a state whose scenario restores this image, or captures."""
        machine = a_machine(1, scenario)
        known = observed(
            {machine.name: ramdisk(machine, a_disk())}, (an_observed_image(manifest=digest),)
        )
        operation = plan(a_fleet(machine), known, WORLD).items[0].operation
        assert operation is not None
        ledger = Ledger(self.database)
        ledger.plan(operation, at, "ada")
        order = [OperationState.PLANNED, OperationState.APPROVED, OperationState.ARMED]
        order += [OperationState.STARTED, state]
        for before, after in pairwise(order):
            if before is state:
                break
            ledger.move(operation.op_id, before, after, attempt=1, at=at, actor="ada", reason="")
        return operation.op_id
