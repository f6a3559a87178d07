"""Updates beside a session, with the real engine; the system's software is simulated."""

from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Event, current_thread, main_thread
from types import SimpleNamespace

import pytest
from attrs import evolve, field, mutable

from agent.clock import Clock
from agent.errors import TerminalError, TransientError
from agent.inspection.host_paths import HostPaths
from agent.shutdown.blockers import Blocker
from agent.shutdown.control import Request, ask
from agent.shutdown.pending import PoliteWays
from agent.updates.kept import KeptUpdates
from agent.updates.updater import UpdateResources, Updates
from agent.wire.package import PackageFile, WantedPackage
from agent.wire.updates import MOST_RESULTS, Permission, UpdateOrders, UpdateWindow
from providers.lab.simulate.simulated_packages import SimulatedSoftware

NOON = datetime(2026, 12, 4, 12, 0, tzinfo=timezone(timedelta(hours=1)))
EDITOR = WantedPackage("editor", "apt", version="9.1")
KERNEL = WantedPackage("kernel", "apt", version="6.1", type="patch", reboot="always")


class KilledError(SystemExit):
    """The process ends here; a thread that raises it says nothing."""


@mutable
class FakeServer:
    """Answers as the server does, with real state; ``away`` makes it unreachable."""

    wanted: UpdateOrders = field(factory=UpdateOrders)
    away: bool = False
    fetch: Permission = field(factory=lambda: Permission(granted=True))
    restart: Permission = field(factory=lambda: Permission(granted=True))
    reports: list = field(factory=list)
    asked: int = 0
    """How often it was asked for orders."""

    def _reach(self):
        if self.away:
            raise TransientError("RW557", "the server cannot be reached", "Wait")

    def orders(self):
        self._reach()
        self.asked += 1
        return self.wanted

    def report(self, report):
        self._reach()
        self.reports.append(report)

    def may_fetch(self):
        self._reach()
        return self.fetch

    def may_restart(self, boot_id):
        assert boot_id
        self._reach()
        return self.restart


@mutable
class FakeFiles:
    """The files of packages, of which some were fetched."""

    there: set = field(factory=set)
    folder: object = ""
    missing: set = field(factory=set)

    def has(self, file):
        return file.sha256 in self.there

    def fetch(self, file, check, max_rate=None):
        assert max_rate is None
        check()
        if file.sha256 in self.missing:
            raise TerminalError("RW458", "it has another checksum", "Publish it again")
        self.there.add(file.sha256)
        return Path(self.folder) / file.name

    def clear(self):
        self.there.clear()


@mutable
class FakePeople:
    """Who is logged in; keeps what they were told."""

    users: tuple = ()
    told: list = field(factory=list)

    def blockers(self):
        return tuple(Blocker(f"{name} is logged in on seat0", uid) for name, uid in self.users)

    def tell(self, text, urgency):
        assert urgency in {"normal", "critical"}
        self.told.append(text)
        return ("seat0",)


class DyingKept(KeptUpdates):
    """Is killed at the write with this number, once."""

    left: list = []  # noqa: RUF012 - shared by the processes of one machine

    def write(self, state):
        self.left[0] -= 1
        if self.left[0] == -1:
            raise KilledError
        super().write(state)


class Machine:
    """One machine: what it keeps from process to process, and from boot to boot."""

    def __init__(self, folder):
        self.folder = folder
        self.server = self.channel = FakeServer()
        self.files = FakeFiles()
        self.people = FakePeople()
        self.ways = PoliteWays(self.people, folder / "s", look_seconds=0.01)
        self.now = NOON
        self.seconds = 0.0
        self.boots = 1
        self.restarts = self.refuses = 0
        self.paths = HostPaths(proc=folder / "proc", root=folder)
        self.software = SimulatedSoftware(folder, self.paths)
        self.kept = KeptUpdates(folder / "updates.json")
        self._boot()
        self.updates = self.started()

    def _boot(self):
        (self.folder / "proc/sys/kernel/random").mkdir(parents=True, exist_ok=True)
        (self.folder / "proc/sys/kernel/random/boot_id").write_text(f"boot-{self.boots}")

    def reboot(self):
        """As ``Power.reboot``: counts it; the next process is in another boot."""
        if self.refuses:
            self.refuses -= 1
            raise TerminalError("RW567", "the system refuses to restart", "Look at it")
        self.restarts += 1
        self.boots += 1
        self._boot()

    def poweroff(self):
        raise AssertionError

    def pause(self, seconds):
        self.seconds += seconds

    def started(self):
        """Return the updates of a new process of the agent."""
        return Updates(
            UpdateResources(
                channel=self.channel,
                kept=self.kept,
                files=self.files,
                state=self.folder,
                software=lambda _runs, _pause: self.software,
                power=self,
                clock=Clock(lambda: self.seconds, self.pause),
                wall=lambda: self.now,
                polite=self.ways,
            )
        )

    def order(self, **changes):
        self.server.wanted = UpdateOrders(policy="office", **changes)
        self.updates.told(self.server.wanted.digest)

    def settle(self, turns=12):
        """Let it have turns until nothing happens by itself any more."""
        for _ in range(turns):
            if self.updates.turn():
                self.updates = self.started()
                self.updates.told(self.server.wanted.digest)
            self.updates.join(30)
        return self.server.reports[-1] if self.server.reports else None

    def later(self, **passed):
        self.now += timedelta(**passed)
        self.seconds += timedelta(**passed).total_seconds()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def states(report):
    return {each.name: each.state for each in report.results}


def test_packages_are_installed_with_one_restart_and_the_server_hears_of_each_phase(machine):
    machine.order(packages=(EDITOR, KERNEL), notice=1)
    last = machine.settle()
    assert machine.software.installed() == {"kernel": "6.1", "editor": "9.1"}
    assert machine.restarts == 1
    assert (last.phase, states(last)) == ("idle", {"kernel": "installed", "editor": "installed"})
    phases = [each.phase for each in machine.server.reports]
    order = ["fetching", "waiting", "installing", "restart", "idle"]
    assert sorted(dict.fromkeys(phases), key=order.index) == list(dict.fromkeys(phases))
    told = len(machine.server.reports)
    assert machine.settle() == last
    assert len(machine.server.reports) == told  # and that is all
    machine.later(hours=1)
    machine.settle()
    assert len(machine.server.reports) == told + 1  # the server may have lost it


def test_without_its_server_it_goes_by_what_it_knows_and_tells_it_once(machine):
    machine.order(packages=(EDITOR,), check_at=(15 * 60,))
    machine.settle()
    known = len(machine.server.reports)
    machine.server.away = True
    machine.later(days=1)
    machine.updates = machine.started()
    machine.settle()
    assert machine.software.installed() == {"editor": "9.1"}
    assert len(machine.server.reports) == known
    machine.server.away = False
    machine.settle()
    assert [states(each) for each in machine.server.reports[known:]] == [{"editor": "installed"}]


def test_files_wait_for_the_server_and_for_their_turn(machine):
    file = PackageFile("tool.deb", "9f" * 32, 10)
    machine.order(packages=(evolve(EDITOR, adapter="deb", files=(file,)),), notice=1)
    machine.server.fetch = Permission(granted=False, why="20 machines fetch at one time already")
    last = machine.settle()
    assert (last.phase, last.why) == ("fetching", "20 machines fetch at one time already")
    machine.server.away = True
    machine.later(minutes=1)
    machine.settle()
    machine.server.away, machine.server.fetch = False, Permission(granted=True)
    machine.files.folder = machine.folder
    machine.later(minutes=1)
    last = machine.settle()
    assert (last.phase, last.results[0].code) == ("idle", "RW212")  # the file is not there
    assert not machine.software.installed()


def test_a_file_that_cannot_be_fetched_keeps_no_other_package_back_and_is_tried_again(machine):
    bad, good = PackageFile("bad.deb", "9f" * 32, 10), PackageFile("good.deb", "8f" * 32, 10)
    tool = evolve(EDITOR, name="tool", adapter="deb", files=(bad,))
    machine.files.missing.add(bad.sha256)
    machine.order(packages=(tool, KERNEL, evolve(EDITOR, files=(good,))), notice=1)
    last = machine.settle()
    assert states(last) == {"kernel": "installed", "tool": "failed", "editor": "failed"}
    assert {each.name: each.code for each in last.results}["tool"] == "RW458"
    machine.later(hours=5)
    assert machine.settle().run == last.run
    machine.later(hours=1)
    assert machine.settle().run != last.run


def test_orders_are_known_by_the_name_that_the_server_gives_them(machine):
    machine.order(packages=(EDITOR,), notice=1)
    machine.updates.told("what a newer server calls them")
    assert machine.settle().orders == "what a newer server calls them"
    asked = machine.server.asked
    machine.updates.told("what a newer server calls them")
    machine.settle()
    assert machine.server.asked == asked


def test_a_system_that_does_not_restart_is_asked_again(machine):
    machine.order(packages=(KERNEL,), notice=1)
    machine.refuses = 1
    last = machine.settle()
    assert (last.phase, last.code, machine.restarts) == ("restart", "RW567", 0)
    machine.later(minutes=1)
    assert states(machine.settle()) == {"kernel": "installed"}


def test_a_restart_waits_for_people_and_for_the_servers_leave(machine):
    machine.server.restart = Permission(granted=False, why="held by ada")
    machine.order(packages=(KERNEL,), notice=1)
    last = machine.settle()
    assert (last.phase, last.why, machine.restarts) == ("restart", "held by ada", 0)
    machine.server.restart = Permission(granted=True)
    machine.settle()
    assert machine.restarts == 0  # it is not asked again at once
    machine.later(minutes=1)
    assert states(machine.settle()) == {"kernel": "installed"}
    assert machine.restarts == 1


def test_nothing_is_installed_outside_of_the_windows_or_while_it_is_held(machine):
    held = {"held": "held by ada until noon", "held_until": int(NOON.timestamp()) + 3600}
    machine.order(packages=(EDITOR,), notice=1, **held)
    last = machine.settle()
    assert (last.phase, last.why) == ("waiting", "held by ada until noon")
    machine.later(hours=1)
    machine.settle()
    assert machine.software.installed() == {"editor": "9.1"}


def test_a_person_is_asked_once_and_answers_over_the_socket(machine):
    machine.people.users = (("alice", 1000),)
    machine.order(packages=(EDITOR,), notice=1, confirm=True)
    last = machine.settle()
    assert (last.phase, last.why) == (
        "waiting",
        "it waits until a person there agrees (alice is logged in on seat0)",
    )
    (told,) = machine.people.told
    assert "editor waits to be installed" in told
    assert "editor waits" in ask(Request("status"), machine.folder / "s")
    stranger = SimpleNamespace(uid=4_000_002, name="uid 4000002")
    for command in (Request("now"), Request("postpone", 60)):
        with pytest.raises(TerminalError, match=r"^RW244: uid 4000002 is not logged in at this"):
            machine.updates._agreement._answer(command, stranger)
    assert "again later" in ask(Request("postpone", 7200), machine.folder / "s")
    assert "put off until 2026-12-04 14:00" in machine.settle().why
    machine.later(hours=2)
    machine.settle()
    assert len(machine.people.told) == 2
    assert "installed now" in ask(Request("now"), machine.folder / "s")
    machine.settle()
    assert machine.software.installed() == {"editor": "9.1"}
    assert not (machine.folder / "s").exists()


def test_what_cannot_be_installed_is_tried_three_times_and_then_stands_with_its_evidence(machine):
    broken = WantedPackage("broken", "apt", version="1")
    machine.order(packages=(broken, EDITOR), check_at=(15 * 60,))
    machine.settle()
    for day in range(1, 6):
        machine.now = NOON + timedelta(days=day)
        machine.seconds += 86_400
        last = machine.settle()
        result = next(each for each in last.results if each.name == "broken")
        assert (result.state, result.stalled) == ("failed", day >= 3)
        assert result.attempts == min(day, 3)
    assert machine.software.installed() == {"editor": "9.1"}
    machine.order(packages=(broken, EDITOR), check_at=(15 * 60,), notice=1)  # a person asks
    result = next(each for each in machine.settle().results if each.name == "broken")
    assert (result.code, result.attempts, result.stalled) == ("RW208", 1, False)


def test_while_it_is_looked_the_results_stay_those_of_the_check_before(machine):
    machine.order(packages=(EDITOR,), notice=1)
    first = machine.settle()
    machine.server.reports.clear()
    machine.later(hours=1)
    machine.order(packages=(EDITOR,), notice=2)
    last = machine.settle()
    assert {
        each.run for each in machine.server.reports if "installed" in states(each).values()
    } == {first.run}
    assert (states(last), last.run != first.run) == ({"editor": "present"}, True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("death", range(14))
def test_killed_at_any_write_it_comes_to_the_same_end(tmp_path, death):
    machine = Machine(tmp_path)
    machine.kept = DyingKept(tmp_path / "updates.json")
    DyingKept.left[:] = [death]
    machine.updates = machine.started()
    machine.order(packages=(EDITOR, KERNEL), notice=1)
    for _ in range(30):
        try:
            is_over = machine.updates.turn()
            machine.updates.join(30)
        except KilledError:
            is_over = True
        if is_over or DyingKept.left[0] == -1:
            DyingKept.left[0] = -2 if DyingKept.left[0] == -1 else DyingKept.left[0]
            machine.updates = machine.started()
            machine.updates.told(machine.server.wanted.digest)
        machine.later(minutes=1)
    assert machine.software.installed() == {"kernel": "6.1", "editor": "9.1"}
    assert machine.restarts in {1, 2}  # better one more than none
    assert machine.server.reports[-1].phase == "idle"


def test_a_clock_that_was_years_ahead_keeps_nothing_from_being_done_later(machine):
    machine.people.users = (("ada", 1000),)
    orders = {"packages": (EDITOR,), "when": "logged-off", "deadline": 3600}
    machine.now += timedelta(days=3650)
    machine.order(**orders, check_at=(15 * 60,), notice=1)
    assert machine.settle().phase == "waiting"
    machine.now = NOON
    machine.settle()
    machine.later(hours=2)
    assert states(machine.settle()) == {"editor": "installed"}
    machine.order(**orders | {"packages": (EDITOR, KERNEL)}, check_at=(15 * 60,), notice=1)
    machine.later(hours=4)
    machine.settle()
    machine.later(hours=2)
    assert states(machine.settle()) == {"editor": "present", "kernel": "installed"}


def test_of_more_results_than_a_report_holds_those_are_told_that_say_what_is_missing(machine):
    machine.order(packages=(EDITOR,), notice=1)
    there = machine.settle().results[0]
    lost = evolve(there, name="lost", state="blocked")
    machine.kept.write(evolve(machine.kept.read(), results=(there,) * MOST_RESULTS + (lost,)))
    machine.updates = machine.started()
    last = machine.settle()
    assert len(last.results) == MOST_RESULTS
    assert states(last) == {"editor": "installed", "lost": "blocked"}


def test_no_installer_meets_another_also_where_nothing_is_missing(machine):
    """A package manager is repaired before packages are looked at: the session takes no work."""
    busy = []

    class WatchedSoftware(SimulatedSoftware):
        def adapters(self):
            busy.append(machine.updates.is_busy)
            return super().adapters()

    machine.software = WatchedSoftware(machine.folder, machine.paths)
    machine.software.add("editor", "9.1")
    machine.order(packages=(EDITOR,), notice=1)
    assert states(machine.settle()) == {"editor": "present"}
    assert set(busy) == {True}


def test_a_restart_that_people_put_off_waits_for_the_next_window(machine):
    def tell(text, urgency):
        machine.now = NOON + timedelta(hours=3)  # they took so long
        return FakePeople.tell(machine.people, text, urgency)

    people = SimpleNamespace(blockers=machine.people.blockers, tell=tell)
    machine.ways = PoliteWays(people, machine.folder / "s", look_seconds=0.01)
    machine.people.users = (("alice", 1000),)
    machine.updates = machine.started()
    windows = (UpdateWindow(tuple(range(7)), 11 * 60, 13 * 60),)
    machine.order(packages=(KERNEL,), notice=1, windows=windows, deadline=7200)
    last = machine.settle()
    assert (last.phase, machine.restarts) == ("restart", 0)
    assert last.why == "outside the windows of policy office (11:00-13:00)"
    machine.people.users = ()
    machine.now = NOON + timedelta(days=1)
    machine.seconds += 86_400
    machine.settle()
    assert machine.restarts == 1


def test_what_a_turn_says_is_said_before_what_it_begins_can_say_more(machine):
    """Two threads that told the server at one time could leave it with what was so before."""
    said, at_work = Event(), []

    class WaitingSoftware(SimulatedSoftware):
        def facts(self):
            assert said.wait(30)
            return super().facts()

    def report(given_report):
        if current_thread() is main_thread():
            at_work.append(machine.updates._is_at_work)
        FakeServer.report(machine.server, given_report)
        said.set()

    machine.software = WaitingSoftware(machine.folder, machine.paths)
    channel = SimpleNamespace(
        orders=machine.server.orders,
        report=report,
        may_fetch=machine.server.may_fetch,
        may_restart=machine.server.may_restart,
    )
    machine.channel = channel
    machine.updates = machine.started()
    machine.order(packages=(EDITOR,), notice=1)
    assert states(machine.settle()) == {"editor": "installed"}
    assert at_work
    assert not any(at_work)
