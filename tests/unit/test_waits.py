"""How long machines are waited for: the nearest level wins, and the loop goes by it."""

from datetime import timedelta

import pytest
from builders.loop_server import LoopServer
from builders.world import a_fleet, a_machine

from agent.wire.work import OperationEvent
from reconciler.authoring.explanation import chosen, explained
from reconciler.state.operation_states import OperationState
from specs.compile.fleet import compile_fleet
from specs.diagnostics.position import Position
from specs.fleet import DEFAULT_WAITS, CompiledFleet, SaidWait, Waits

_S = OperationState
NODE = a_machine(1, "clone-golden")


TEXT = """\
apiVersion: rackwright/v1alpha1
kind: Fleet
metadata: {name: f}
spec: {waits: FLEET, defaults: {network: n}}
---
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {name: n}
spec: {subnet: 10.0.0.0/24}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {name: a}
spec: {waits: SITE}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {name: a/b}
spec: {waits: ROW}
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: look}
spec: {waits: SCENARIO, steps: [{inspectDisks: {}}]}
---
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {name: m}
spec:
  group: a/b
  hardware: {macs: ["02:00:00:00:00:01"]}
  assign: [{scenario: look, run: x}]
"""


def files(**levels: str) -> dict[str, bytes]:
    text = TEXT
    for level in ("fleet", "site", "row", "scenario"):
        text = text.replace(level.upper(), levels.get(level, "{}"))
    return {"f.yaml": text.encode()}


def fleet_of(**levels: str) -> CompiledFleet:
    result = compile_fleet(files(**levels), "r")
    assert result.fleet is not None, [str(each) for each in result.diagnostics]
    return result.fleet


def waits(fleet: CompiledFleet, scenario: str = "look") -> Waits:
    return fleet.waits_of(fleet.machines["m"].groups, scenario)


def test_without_a_word_the_defaults_hold() -> None:
    assert waits(fleet_of()) == DEFAULT_WAITS == Waits(900, 600, 900, 20, 5)


def test_the_nearest_level_that_says_a_wait_wins() -> None:
    fleet = fleet_of(
        fleet="{grant: 2m, silence: 2m, proof: 2m, wake: 30s, attempts: 2}",
        site="{grant: 3m, silence: 3m, proof: 3m}",
        row="{grant: 4m, silence: 4m}",
        scenario="{grant: 5m}",
    )
    assert waits(fleet) == Waits(300, 240, 180, 30, 2)
    assert waits(fleet, "inspection").grant_seconds == 240
    assert fleet.waits_of((), "inspection") == Waits(120, 120, 120, 30, 2)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("{silence: 59s}", "1m"),
        ("{proof: 2d}", "1d"),
        ("{wake: 4s}", "5s"),
        ("{attempts: 0}", "1"),
        ("{attempts: 101}", "100"),
        ("{grant: 15}", "unit"),
    ],
)
def test_a_wait_has_bounds(said: str, problem: str) -> None:
    (found,) = compile_fleet(files(row=said), "r").diagnostics
    assert f"spec.waits.{said[1:].partition(':')[0]}" in str(found)
    assert problem in str(found)


def test_a_wait_of_a_scenario_is_no_other_scenario() -> None:
    one, other = fleet_of(), fleet_of(scenario="{silence: 30m}")
    assert one.scenarios["look"].digest == other.scenarios["look"].digest


def test_every_wait_has_its_place() -> None:
    fleet = fleet_of(fleet="{wake: 30s}", row="{silence: 4m}", scenario="{attempts: 3}")
    fields = chosen(explained(fleet, fleet.machines["m"]), "waits")
    assert [
        (each.field, each.value, str(each.position or "-"), each.reason) for each in fields
    ] == [
        ("waits.grant", "15m", "-", "default"),
        ("waits.silence", "4m", "f.yaml:19:25", "through group a/b"),
        ("waits.proof", "15m", "-", "default"),
        ("waits.wake", "30s", "f.yaml:4:22", "through the Fleet document"),
        ("waits.attempts", "5", "-", "default"),
        ("waits[look].attempts", "3", "f.yaml:24:26", "through scenario look"),
    ]


def patient(level: str, **said: int) -> CompiledFleet:
    fleet = a_fleet(NODE)
    here = Position("fleet.yaml", 1, 1)
    values = {level: {name: SaidWait(value, here) for name, value in said.items()}}
    return CompiledFleet(
        **{name: getattr(fleet, name) for name in fleet.__dataclass_fields__ if name != "waits"},
        waits=values,
    )


@pytest.fixture
def server(tmp_path):
    made = LoopServer(tmp_path / "rackwright.db", a_fleet(NODE))
    made.reports(NODE)
    made.approve_all()
    made.run()
    yield made
    made.close()


def reason(server: LoopServer) -> str:
    (status,) = server.loop.operations.current()
    return status.reason


@pytest.mark.parametrize("level", ["Fleet", "Group lab", "Scenario clone-golden"])
def test_a_commit_that_changes_a_wait_holds_for_work_under_way(server, level) -> None:
    server.use(patient(level, grant_seconds=3600, wake_seconds=60))
    server.now += timedelta(minutes=30)
    server.run()
    assert server.boots_over_the_network(NODE).grant.attempt == 1
    server.run()
    assert server.loop.next_time() == server.now + timedelta(seconds=60)
    server.now += timedelta(minutes=31)
    server.run()
    assert reason(server) == "nobody used the boot grant for 1h (waits.grant)"


def test_the_error_names_the_wait_that_ruled(server) -> None:
    grant = server.boots_over_the_network(NODE).grant
    assert server.plane.claim(NODE.name, grant.operation, grant.attempt)
    event = OperationEvent(attempt=1, sequence=1, kind="done", step=3)
    server.loop.ledger.record_progress(grant.operation, event, server.now)
    server.use(patient("Scenario clone-golden", proof_seconds=120))
    server.now += timedelta(seconds=121)
    server.run()
    assert server.states() == {NODE.name: _S.FAILED}
    assert "did not report within 2m (waits.proof)" in reason(server)


def test_work_that_waits_for_its_turn_is_waited_for_without_end(tmp_path) -> None:
    second = a_machine(2, "clone-golden")
    server = LoopServer(tmp_path / "rackwright.db", a_fleet(NODE, second))
    server.reports(NODE, second)
    server.approve_all()
    server.run()
    grant = server.boots_over_the_network(NODE).grant
    assert server.plane.claim(NODE.name, grant.operation, grant.attempt)
    for number in range(1, 25):
        server.now += timedelta(minutes=5)
        event = OperationEvent(attempt=1, sequence=number, kind="progress", step=1)
        server.loop.ledger.record_progress(grant.operation, event, server.now)
        server.reports(second)
        server.run()
        assert server.states() == {NODE.name: _S.STARTED, second.name: _S.APPROVED}
    server.close()
