"""A session whose system is to be shut down while people work, against a real TLS server."""

import pytest
from attrs import evolve

from agent.shutdown.blockers import Blocker
from agent.shutdown.control import Request, ask
from agent.shutdown.pending import PoliteWays
from agent.wire.power import PowerPolicy
from agent.wire.step import Finish
from agent.wire.work import Work
from tests.protocol.test_agent_session import bench as disk_bench

pytestmark = pytest.mark.timeout(90)
bench = disk_bench
ALICE = Blocker("alice is logged in on pts/0", 1000)
POLICY = PowerPolicy(grace=3600, countdown=0, postponable=3600)


class FakePeople:
    """People who are in the way until they leave."""

    def __init__(self):
        self.there = (ALICE,)
        self.told = []

    def blockers(self):
        return self.there

    def tell(self, text, urgency):
        self.told.append((text, urgency))
        return ()


@pytest.fixture
def people(bench):
    found = FakePeople()
    ways = PoliteWays(found, bench.state / "shutdown.sock", tell_seconds=0.05, look_seconds=0.02)
    bench.resources = evolve(bench.resources, polite=ways)
    return found


def work(operation="power-nightly-1", attempt=1, **changes):
    return Work(operation, attempt, (Finish("reboot"),), power=evolve(POLICY, **changes))


def told(operation, kind):
    return [each.message for each in operation.events if each.kind == kind]


def test_the_agent_goes_on_reporting_and_the_server_hears_who_is_waited_for(bench, people):
    operation = bench.plane.arm("node-1", work())
    thread = bench.start()
    bench.plane.wait_for(lambda: len(told(operation, "progress")) > 3)
    assert told(operation, "progress")[0] == "alice is logged in on pts/0"
    reports = len(bench.plane.reports)
    bench.plane.wait_for(lambda: len(told(operation, "progress")) > 10)
    assert reports
    assert bench.power.calls == []
    people.there = ()
    bench.join(thread)
    assert bench.power.calls == ["reboot"]
    (outcome,) = told(operation, "done")
    assert outcome.startswith("waited ")
    assert outcome.endswith(" for alice is logged in on pts/0")
    assert not bench.resources.journal.path.exists()


def test_work_that_is_taken_away_calls_it_off_and_the_session_goes_on(bench, people):
    operation = bench.plane.arm("node-1", work())
    thread = bench.start()
    bench.plane.wait_for(lambda: bool(told(operation, "progress")))
    bench.plane.fence("power-nightly-1")
    calm = ("This machine does not restart.", "normal")
    bench.plane.wait_for(lambda: calm in people.told)
    people.there = ()
    bench.plane.arm("node-1", Work("power-off-now", 1, (Finish("poweroff"),)))
    bench.join(thread)
    assert bench.power.calls == ["poweroff"]


def test_newer_work_goes_on_with_the_same_wait(bench, people):
    first = bench.plane.arm("node-1", work("reboot-op-9", 1))
    thread = bench.start()
    bench.plane.wait_for(lambda: bool(told(first, "progress")))
    asked = ask(Request("status"), bench.state / "shutdown.sock")
    assert asked.startswith("this machine is to restart within ")
    second = bench.plane.arm("node-1", work("power-nightly-2", 1))
    bench.plane.wait_for(lambda: bool(told(second, "progress")))
    people.there = ()
    bench.join(thread)
    assert len(told(second, "done")) == 1
    assert len([text for text, _ in people.told if "is to restart" in text]) == 1
