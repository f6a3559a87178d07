"""A fingerprint changes with all that the planner reads of a machine, and with nothing else."""

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from builders.world import NOW, a_disk, a_fleet, a_machine, a_report, an_image, in_ram, observed
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.wire.work import OperationEvent
from providers.netboot.decision import BootRequest
from reconciler.hardware import FleetHardware
from reconciler.ledger.ledger import Ledger
from reconciler.ledger.states import TRANSITIONS, OperationState
from reconciler.planning.planner import plan
from reconciler.store.database import open_database
from reconciler.store.fingerprints import observation_fingerprints
from reconciler.store.observations import Observations
from reconciler.store.observe import observe

_S = OperationState
MACHINES = (
    a_machine(1, "clone-golden"),
    a_machine(2, "clone-golden", uuid="", macs=("52:54:00:77:00:02", "52:54:00:77:00:a2")),
    a_machine(3, "clone-golden", formerly=("mac:52:54:00:77:00:f3",)),
)


class Writer:
    """Writes whatever the store lets one write about a machine, at a time of its own."""

    def __init__(self, database):
        self.observations = Observations(database)
        self.ledger = Ledger(database)
        self.at = NOW
        self.count = 0

    def write(self, what, machine):
        self.count += 1
        getattr(self, what)(machine)

    def report(self, machine):
        self.observations.record_report(machine, a_report(machine, a_disk(str(self.count))), NOW)

    def contact(self, machine):
        environment = ("deploy-os", "installed")[self.count % 2]
        self.observations.record_contact(machine, environment, NOW + timedelta(self.count))

    def silence(self, machine):
        self.observations.forget_contact(machine)

    def boot(self, machine):
        request = BootRequest("dhcp", machine.macs[-1], "", 0, "0.0.0.0", "")  # noqa: S104
        self.observations.record_boot(request, NOW + timedelta(self.count), machine)

    def bar(self, machine):
        self.observations.set_quarantine(machine.name, machine.hardware_identities, "alarm", NOW)

    def clear(self, machine):
        self.observations.clear_quarantine(machine.name, machine.hardware_identities)

    def work(self, machine):
        world = observed({machine.name: in_ram(machine, a_disk())}, (an_image(),))
        operation = plan(a_fleet(machine), world, NOW).items[0].operation
        self.ledger.plan(replace(operation, op_id=f"{self.count:032x}"), NOW, "ada")

    def move(self, machine):
        for status in self.mine(machine):
            after = sorted(TRANSITIONS[status.state] - {_S.CANCELLED})
            if after:
                self.ledger.move(
                    status.operation.op_id,
                    status.state,
                    after[self.count % len(after)],
                    attempt=status.attempt,
                    at=NOW,
                    actor="test",
                    reason="because",
                )
                return

    def progress(self, machine):
        for status in self.mine(machine):
            event = OperationEvent(status.attempt, sequence=self.count, kind="progress", step=1)
            self.ledger.record_progress(status.operation.op_id, event, NOW)
            return

    def mine(self, machine):
        return [
            status
            for status in self.ledger.current()
            if set(status.operation.identities) & set(machine.hardware_identities)
        ]


WRITES = ("report", "contact", "silence", "boot", "bar", "clear", "work", "move", "progress")


def known(database):
    """Return all that the planner reads, by machine."""
    world = observe(database, MACHINES, {}, NOW)
    hardware = FleetHardware(MACHINES)
    return {
        machine.name: (
            world.machines[machine.name],
            [
                status
                for status in world.operations
                if machine.name in hardware.owners(status.operation.identities)
            ],
        )
        for machine in MACHINES
    }


def fingerprints(database):
    found = observation_fingerprints(database, MACHINES)
    return {machine.name: found[machine.hardware_identity] for machine in MACHINES}


@settings(max_examples=30, deadline=None)
@given(
    writes=st.lists(
        st.tuples(st.sampled_from(WRITES), st.sampled_from(MACHINES)), min_size=1, max_size=15
    )
)
def test_exactly_the_fingerprint_of_the_machine_concerned_changes(tmp_path_factory, writes):
    database = open_database(tmp_path_factory.mktemp("state") / "db")
    writer = Writer(database)
    before = known(database), fingerprints(database)
    for what, machine in writes:
        writer.write(what, machine)
        after = known(database), fingerprints(database)
        changed = {name for name in before[1] if before[1][name] != after[1][name]}
        assert changed <= {machine.name}
        assert {name for name in before[0] if before[0][name] != after[0][name]} <= changed
        before = after
    database.close()


@pytest.mark.parametrize("what", [name for name in WRITES if name not in {"silence", "clear"}])
def test_every_kind_of_write_changes_the_fingerprint(tmp_path, what):
    database = open_database(tmp_path / "db")
    writer = Writer(database)
    for step in ("report", "contact", "work", "move", "move", "move"):
        writer.write(step, MACHINES[0])
    before = fingerprints(database)
    writer.write(what, MACHINES[0])
    assert fingerprints(database)[MACHINES[0].name] != before[MACHINES[0].name]
    database.close()


def test_hardware_that_a_second_machine_claims_changes_both(tmp_path):
    database = open_database(tmp_path / "db")
    Writer(database).write("report", MACHINES[1])
    heir = a_machine(4, formerly=(MACHINES[1].hardware_identity,))
    alone = observation_fingerprints(database, [MACHINES[1]])
    both = observation_fingerprints(database, [MACHINES[1], heir])
    key = MACHINES[1].hardware_identity
    assert alone[key] != both[key]
    assert both[key] == both[heir.hardware_identity] != ""
    database.close()


def test_the_generated_state_of_the_benchmark_has_converged(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[2] / "benchmarks")])
    import generated_state  # noqa: PLC0415 - found only now

    fleet = generated_state.generated_fleet(3)
    database = open_database(tmp_path / "db")
    generated_state.fill(database, fleet)
    images = {generated_state.IMAGE.name: generated_state.IMAGE}
    world = observe(database, fleet.machines.values(), images, generated_state.NOW)
    assert plan(fleet, world, generated_state.NOW).empty
    ledger = [(each.operation, each.state, each.at) for each in Ledger(database).operations()]
    assert [(each.operation, each.state, each.at) for each in world.operations] == ledger
    for machine in fleet.machines.values():
        expected = generated_state.generated(machine)
        assert world.machines[machine.name].in_ram.report == expected.in_ram
        assert world.machines[machine.name].installed.report == expected.installed
        assert world.machines[machine.name].installed.installed == expected.installed.installed
    database.close()
