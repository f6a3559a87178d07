"""Whatever happens in whatever order: no work twice, none without approval, none forgotten.

Hypothesis lets machines, people, agents, commits, crashes and the clock act in any order on a
real ledger, and looks after each step at what must always hold.
"""

import os
import shutil
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import mkdtemp

import pytest
from builders.agent_calls import AgentCalls
from builders.loop_server import LoopServer
from builders.world import NOW, a_disk, a_fleet, a_machine, a_report, an_installed_system
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.wire.step import Finish, Restore
from agent.wire.work import OperationEvent
from providers.netboot.decision import DeployOS
from reconciler.app.cancel import Cancellations
from reconciler.app.clear import Clearings
from reconciler.app.resolve import Resolutions
from reconciler.errors import OvertakenError
from reconciler.loop.approval import approve
from reconciler.loop.decide import BEHIND_LIMIT, QUARANTINE_LOOK
from reconciler.planning.planner import plan
from reconciler.state.accepted_revisions import AcceptedRevision, AcceptedRevisions
from reconciler.state.ledger import Ledger
from reconciler.state.operation_states import ACTIVE, AT_WORK, OperationState, permits
from reconciler.state.protections import Protections
from reconciler.state.world import observe

_S = OperationState
NAMES = ("node-01", "node-02", "node-03", "node-04")
AT_ONCE, PER_HOUR = 2, 3
PERSON = "ada"
TAKEN = {200, 204}
"""What an agent is told: taken in; with 200 it learns that its installation was verified."""
ANSWERS = TAKEN | {409, 410}
"""Or else another attempt took over, or the operation has ended."""
MOST_LOOKS = 200
HEARD_AFTER_ALL = "RW631: its agent is heard after all"
PAUSE = timedelta(minutes=5)
"""Nobody does anything any more: so often and so far apart the loop looks until all has ended."""
machines = st.sampled_from(NAMES)


@dataclass
class Session:
    """One boot of a machine into the Deploy-OS, until it restarts."""

    machine: str
    work: object = None
    sequence: int = 0
    step: int = 0
    fenced: bool = False


def moves_as_the_table_says(history):
    wrong = [(a, b) for a, b in pairwise(history) if not permits(a[0], b[0], a[4])]
    assert wrong == [], "not in the table of moves"
    attempts = [attempt for _, attempt, *_ in history]
    assert attempts == sorted(attempts)
    armed = [attempt for state, attempt, *_ in history if state is _S.ARMED]
    assert len(armed) == len(set(armed))


def is_approved_by_a_person(history):
    """Check that whatever was armed had been approved by a person, and not taken back."""
    by = ""
    for state, _, _, actor, _ in history:
        if state in {_S.APPROVED, _S.PLANNED}:
            by = actor if state is _S.APPROVED else ""
        if state in AT_WORK:
            assert by == PERSON


class AnyOrder(RuleBasedStateMachine):
    """Four machines, one server that may crash, and people."""

    def __init__(self):
        super().__init__()
        memory = Path("/dev/shm")  # noqa: S108 - a folder of its own below it
        self.folder = Path(mkdtemp(dir=memory if memory.is_dir() else None))
        self.sessions = {}
        self.disks = {}
        """By machine, the operation whose system is on its disk."""
        self.written = []
        """Operation, attempt and session of each restore that began, as the machines tell it."""
        self.sent = []
        """Messages that were answered; any may arrive again."""
        self.on_the_way = []
        """What agents said last before their machines restarted."""
        self.plans = []
        self.runs = dict.fromkeys(NAMES, 1)
        self.protected = set()
        self.revision = 0
        self.rested = True
        self.seen_at = NOW
        """When the server has seen what another process lifted."""

    @initialize(unattended=st.booleans())
    def start(self, unattended):
        self.unattended = unattended
        self.accepted = self.fleet = self.desired()
        self.server = self.started(NOW)
        for name in NAMES:
            self.report_disks(name)
        self.makes_a_plan()
        self.approves(set(NAMES))
        self.settle()

    def teardown(self):
        if hasattr(self, "server"):
            try:
                self.everything_ends()
            finally:
                self.server.close()
        shutil.rmtree(self.folder)

    # --- what there is -----------------------------------------------------------

    def desired(self):
        nodes = []
        for number, name in enumerate(NAMES, 1):
            node = a_machine(number, "clone-golden", protect=name in self.protected)
            (assignment,) = node.assignments
            nodes.append(
                replace(node, assignments=(replace(assignment, run=str(self.runs[name])),))
            )
        fleet = a_fleet(*nodes, at_once=AT_ONCE, per_hour=PER_HOUR)
        return replace(fleet, revision=f"{self.revision:040x}")

    def started(self, now):
        server = LoopServer(
            self.folder / "rackwright.db", self.fleet, unattended=self.unattended, now=now
        )
        self.calls = AgentCalls(server.plane, server.database)
        return server

    def node(self, name):
        return self.server.loop.fleet.machines[name]

    def settle(self):
        self.server.run()
        self.rested = True

    def lines(self):
        with self.server.database.reading() as connection:
            query = "SELECT op_id, state, attempt, at, actor, reason FROM ledger ORDER BY sequence"
            return connection.exec_driver_sql(query).all()

    def histories(self):
        found = defaultdict(list)
        for op_id, state, *said in self.lines():
            found[op_id].append((_S(state), *said))
        return found

    def operations(self):
        return {each.operation.op_id: each for each in self.server.loop.ledger.operations()}

    # --- people ------------------------------------------------------------------

    def planned(self):
        fleet, server = self.accepted, self.server
        seen = observe(
            server.database, fleet.machines.values(), server.outside.images(), server.now
        )
        return plan(fleet, seen, server.now)

    def approved(self, made, names):
        wanted = [item for item in made.to_apply if item.machine in names]
        with suppress(OvertakenError):  # somebody else approved the same
            approve(Ledger(self.server.database), made, wanted, PERSON, self.server.now)
        self.rested = False

    @rule(names=st.sets(machines, min_size=1))
    def approves(self, names):
        self.approved(self.planned(), names)

    @rule()
    def makes_a_plan(self):
        self.plans.append(self.planned())

    @precondition(lambda self: self.plans)
    @rule(data=st.data(), names=st.sets(machines, min_size=1))
    def approves_an_old_plan(self, data, names):
        self.approved(self.plans[data.draw(st.integers(0, len(self.plans) - 1))], names)

    @rule(name=machines)
    def cancels(self, name):
        cancellations = Cancellations(self.server.database, self.fleet)
        for each in cancellations.of_machines([self.node(name)]):
            if not each.refusal:
                cancellations.cancel(each, PERSON, "because", self.server.now)
        self.rested = False

    @rule(did_run=st.booleans())
    def clears(self, did_run):
        self.clear_all(did_run=did_run)
        self.rested = False
        self.seen_at = self.server.now + QUARANTINE_LOOK

    @rule(name=machines)
    def quarantines(self, name):
        known = self.node(name).hardware_identities
        self.server.loop.machines.set_quarantine(name, known, "an alarm", self.server.now)
        self.settle()

    @rule(name=machines, change=st.sampled_from(["protect", "lift", "run"]))
    def commits(self, name, change):
        if change == "run":
            self.runs[name] += 1
        elif change == "protect":
            self.protected.add(name)
        else:
            self.protected.discard(name)
        self.revision += 1
        self.accepted = self.desired()
        server = self.server
        Protections(server.database).remember(
            self.accepted.machines.values(), self.accepted.revision, server.now
        )
        revisions = AcceptedRevisions(self.folder / "rackwright.db", lambda: server.database)
        self.accepted_at, commit = server.now, self.accepted.revision
        revisions.add(AcceptedRevision(commit, "fleet", server.now, PERSON, "because"))
        self.rested = False

    @precondition(lambda self: self.fleet is not self.accepted)
    @rule()
    def server_takes_the_commit(self):
        self.fleet = self.accepted
        self.server.use(self.fleet)
        self.settle()

    def is_long_behind(self):
        """Return whether the server does not wait any more for a commit that it cannot take."""
        is_behind = self.fleet is not self.accepted
        return is_behind and self.server.now - self.accepted_at > BEHIND_LIMIT

    # --- machines and their agents -----------------------------------------------

    @rule(name=machines)
    def restarts(self, name):
        """Let a machine restart: what ran on it is gone, and its firmware asks for a boot."""
        session = self.sessions.pop(name, None)
        if session is not None and self.can_speak(session):
            attempt = session.work.attempt
            last = OperationEvent(attempt, session.sequence + 1, "failed", 0)
            self.on_the_way.append((name, session.work.operation, last))
        answer = self.server.boots_over_the_network(self.node(name))
        if isinstance(answer, DeployOS):
            self.sessions[name] = Session(name)
            self.server.boots.credentials(answer.grant)
            self.report_disks(name)
        elif name in self.disks:
            self.report_system(name, self.disks[name])
        self.settle()

    def report_disks(self, name):
        report = a_report(self.node(name), a_disk(name))
        assert self.calls.report(name, report) in TAKEN

    def report_system(self, name, operation):
        node = self.node(name)
        report = a_report(node, a_disk(name), installed=an_installed_system(node, operation))
        assert self.calls.report(name, report) in TAKEN
        self.sent.append(("report", name, report))

    @precondition(lambda self: any(each.work is None for each in self.sessions.values()))
    @rule(data=st.data())
    def begins(self, data):
        """Let an agent ask for work and claim it."""
        free = [each for each in self.sessions.values() if each.work is None]
        self.claims_work(data.draw(st.sampled_from(free)))

    def claims_work(self, session):
        name, server = session.machine, self.server
        server.loop.machines.record_contact(self.node(name), "deploy-os", server.now)
        work = server.plane.work(name)
        if work is None:
            return
        was_begun = any(op_id == work.operation for op_id, _, _ in self.written)
        started = [state for state, *_ in self.histories()[work.operation] if state is _S.STARTED]
        status = self.calls.claim(name, work.operation, work.attempt)
        assert status in ANSWERS
        if status == 204:
            session.work = work
            self.sent.append(("claim", name, work.operation, work.attempt))
            if (
                not started
                and not was_begun
                and self.operations()[work.operation].operation.destructive
            ):
                assert name not in self.protected or self.is_long_behind(), "it is protected"
        self.settle()

    @precondition(lambda self: any(self.can_speak(each) for each in self.sessions.values()))
    @rule(data=st.data(), fails=st.integers(0, 9))
    def goes_on(self, data, fails):
        """Let an agent take its next step, and say so until it is heard."""
        speaking = [each for each in self.sessions.values() if self.can_speak(each)]
        self.takes_a_step(data.draw(st.sampled_from(speaking)), fails=fails == 0)

    @rule(
        name=machines,
        count=st.sampled_from([1, 4, 7]),
        meanwhile=st.sampled_from(["", "late", "protect"]),
    )
    def restarts_and_works(self, name, count, meanwhile):
        """Let a machine restart, claim what is there for it, and get some steps far: 7 are all."""
        self.restarts(name)
        if meanwhile == "protect":
            self.commits(name, meanwhile)
        if name in self.sessions:
            self.claims_work(self.sessions[name])
        for message in self.on_the_way if meanwhile == "late" else ():
            self.late_message_arrives(*message)
        for _ in range(count):
            session = self.sessions.get(name)
            if session is not None and self.can_speak(session):
                self.takes_a_step(session, fails=False)
        if name not in self.sessions:
            self.restarts(name)

    def takes_a_step(self, session, *, fails):
        steps = [step for step in session.work.steps if not isinstance(step, Finish)]
        if fails:
            self.say(session, "failed")
        elif session.step < 2 * len(steps):
            number, ends = divmod(session.step, 2)
            heard = self.say(session, "step-done" if ends else "step-started", number)
            if heard and isinstance(steps[number], Restore):
                self.write(session, ends=bool(ends))
            session.step += 1
        elif self.say(session, "done", len(steps) - 1):
            del self.sessions[session.machine]  # it restarts or switches off
        self.settle()

    @staticmethod
    def can_speak(session):
        return session.work is not None and not session.fenced

    def say(self, session, kind, step=0):
        session.sequence += 1
        event = OperationEvent(session.work.attempt, session.sequence, kind, step)
        status = self.calls.event(session.machine, session.work.operation, event)
        assert status in ANSWERS
        session.fenced = status != 204 or kind == "failed"
        if status == 204:
            self.sent.append(("event", session.machine, session.work.operation, event))
        return status == 204

    def write(self, session, *, ends):
        operation = session.work.operation
        if ends:
            self.disks[session.machine] = operation
            return
        self.disks.pop(session.machine, None)
        self.written.append((operation, session.work.attempt, id(session)))
        mine = self.operations()[operation].operation
        done = [
            each
            for each in self.operations().values()
            if each.state is _S.VERIFIED
            and (each.operation.hardware, each.operation.scenario, each.operation.run)
            == (mine.hardware, mine.scenario, mine.run)
        ]
        assert done == [], "the same work was verified before"

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def a_message_arrives_again(self, data):
        """Deliver once more what was answered before, maybe a day later."""
        before = self.lines()
        kind, *message = data.draw(st.sampled_from(self.sent))
        status = getattr(self.calls, kind)(*message)
        assert status in ANSWERS
        lines = self.lines()
        assert lines[: len(before)] == before
        # Whoever asks again lives: its work goes on if it had ended for silence.
        assert [reason for *_, reason in lines[len(before) :]] in ([], [HEARD_AFTER_ALL])
        self.settle()

    @precondition(lambda self: self.on_the_way)
    @rule(data=st.data())
    def a_message_of_before_a_restart_arrives(self, data):
        self.late_message_arrives(*data.draw(st.sampled_from(self.on_the_way)))

    def late_message_arrives(self, name, op_id, event):
        status, before = self.operations()[op_id], self.lines()
        answer = self.calls.event(name, op_id, event)
        if (status.state, status.attempt) != (_S.STARTED, event.attempt):
            assert answer in ANSWERS
            assert self.lines() == before, "another attempt took over"
        self.settle()

    @rule(seconds=st.sampled_from([1, 21, 45, 601, 901, 3601, 86_400]))
    def time_passes(self, seconds):
        self.server.now += timedelta(seconds=seconds)
        self.settle()

    @rule()
    def the_server_crashes(self):
        self.server.close()
        self.server = self.started(self.server.now)
        self.settle()

    @rule()
    def the_server_looks(self):
        self.settle()

    # --- what always holds -------------------------------------------------------

    @invariant()
    def the_ledger_tells_of_nothing_that_must_not_be(self):
        histories, operations = self.histories(), self.operations()
        at_work, done, known = Counter(), Counter(), Counter()
        begun, hour_ago = set(), (self.server.now - timedelta(hours=1)).isoformat()
        for op_id, history in histories.items():
            states = [state for state, *_ in history]
            moves_as_the_table_says(history)
            operation = operations[op_id].operation
            at_work[operation.hardware] += states[-1] in AT_WORK
            if operation.destructive:
                is_approved_by_a_person(history)
                done[operation.hardware, operation.scenario, operation.run] += _S.VERIFIED in states
                known[operation.hardware, operation.scenario, operation.run] += 1
                begun |= {
                    operation.hardware
                    for (before, *_), (after, _, at, *_) in pairwise(history)
                    if (before, after) == (_S.APPROVED, _S.ARMED) and at > hour_ago
                }
        assert max(at_work.values(), default=0) <= 1, "a machine does one thing at a time"
        assert max(done.values(), default=0) <= 1, "the same work succeeds once"
        assert max(known.values(), default=0) <= 1, "the same work is one operation"
        # No budget holds back what goes on at a machine that was not heard for a while.
        destructive = {
            each.operation.hardware
            for each in operations.values()
            if each.operation.destructive
            and each.state in AT_WORK
            and histories[each.operation.op_id][-1][4] != HEARD_AFTER_ALL
        }
        assert len(destructive) <= AT_ONCE
        assert len(begun) <= PER_HOUR

    @invariant()
    def an_attempt_is_one_agents(self):
        begun = Counter((op_id, attempt) for op_id, attempt, _ in self.written)
        assert all(count == 1 for count in begun.values())

    @invariant()
    def a_look_at_a_machine_that_is_not_due_changes_nothing(self):
        """Nothing waits for a look that nobody would take: there is no lost wake-up."""
        if not self.rested or self.server.now < self.seen_at:
            return
        before = self.lines()
        for name in NAMES:
            self.server.loop.reconcile(name)
        assert self.lines() == before
        due = self.server.loop.next_time()
        assert due is None or due > self.server.now

    def clear_all(self, *, did_run):
        """Lift all quarantines, and say how all work of unknown outcome ended."""
        clearings = Clearings(self.server.database, self.fleet)
        for each in clearings.of_all():
            clearings.clear(each, PERSON, "", self.server.now)
        resolutions = Resolutions(self.server.database, self.fleet, self.server.now)
        resolutions.resolve(resolutions.of_all(), PERSON, "I looked", did_run=did_run)

    def everything_ends(self):
        """When nobody does anything any more, all work ends by itself."""
        self.fleet, self.unattended = self.accepted, False
        self.the_server_crashes()
        self.clear_all(did_run=False)
        self.settle()
        for _ in range(MOST_LOOKS):
            if all(each.state not in ACTIVE for each in self.operations().values()):
                return
            due = self.server.loop.next_time()
            assert due is not None, "work waits for nothing"
            self.server.now = max(due, self.server.now + PAUSE)
            self.settle()
        raise AssertionError("work that nobody does goes on for ever")


# The same orders each time; new ones where somebody asks for a number, as every night.
AnyOrder.TestCase.settings = settings(
    derandomize="ANY_ORDER_EXAMPLES" not in os.environ,
    max_examples=int(os.environ.get("ANY_ORDER_EXAMPLES", "30")),
    stateful_step_count=40,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
test_any_order = pytest.mark.timeout(3600)(AnyOrder.TestCase)
