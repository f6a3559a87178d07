"""The reconcile loop with its database, its boots and its agents' interface, and no sockets."""

from datetime import timedelta

from sqlalchemy import event

from builders.outside import FakeOutside
from builders.world import NOW, a_disk, a_report, an_image, an_installed_system
from providers.netboot.decision import AskAgain, BootRequest
from reconciler.loop.approval import approve
from reconciler.loop.decide import RESTART_SILENCE
from reconciler.loop.hearing import Hearing, ever
from reconciler.loop.reconcile import Reconciler
from reconciler.planning.by_hand import plan_by_hand
from reconciler.planning.planner import plan
from reconciler.server.boots import BootDecisions
from reconciler.server.control_plane import AgentEndpoint, ControlPlane
from reconciler.state.database import open_database
from reconciler.state.hardware import FleetHardware
from reconciler.state.ledger import Ledger
from reconciler.state.operation import BY_HAND
from reconciler.state.world import observe

BEAT = 4.0


class LoopServer:
    """A loop on a database of its own, with a clock that is set by hand.

    With ``clocks`` it notices that, as a server does, and time passes by ``passes``.
    """

    def __init__(self, path, fleet, *, unattended=False, clocks=False, now=NOW):
        self.now = now
        self.steady = 0.0
        self.hearing = Hearing(lambda: self.now, lambda: self.steady)
        self.database = open_database(path)
        self.statements = []
        event.listen(self.database._engine, "before_cursor_execute", self._count)
        self.outside = FakeOutside(an_image())
        self.loop = Reconciler(
            self.database,
            fleet,
            FleetHardware(fleet.machines.values()),
            self.outside,
            lambda: self.now,
            hears_since=self.hearing.since if clocks else ever,
            acts_unattended=unattended,
        )
        endpoint = AgentEndpoint("https://10.77.0.1:8443", "f" * 64)
        self.plane = ControlPlane(self.database, self.loop, endpoint, lambda: self.now)
        self.boots = BootDecisions(self.plane, self.loop, lambda: self.now)

    def _count(self, _connection, _cursor, statement, *_):
        self.statements.append(statement)

    def asked(self):
        """Return what the database was asked since the last call, transactions left out."""
        found = [each for each in self.statements if not each.startswith(("BEGIN", "PRAGMA"))]
        self.statements.clear()
        return found

    def reports(self, *machines, installed=False):
        for machine in machines:
            system = an_installed_system(machine, "earlier") if installed else None
            report = a_report(machine, a_disk(machine.name), installed=system)
            self.loop.machines.record_report(machine, report, self.now)

    def waits_in_ram(self, *machines):
        """Let agents in RAM ask for work: nobody uses these machines."""
        for machine in machines:
            self.loop.machines.record_contact(machine, "deploy-os", self.now)

    def run_by_hand(self, scenario, *machines, number=1, reason="disk replaced"):
        """Run a scenario by hand, as another process does; return the plan and the run."""
        fleet, hardware = self.loop.fleet, self.loop.hardware
        images = self.outside.images()
        seen = observe(self.database, fleet.machines.values(), images, self.now)
        token = f"{BY_HAND}20261121-12000{number}-abcd"
        wanted = fleet.scenarios[scenario]
        made = plan_by_hand(fleet, machines, wanted, token, hardware, seen, self.now)
        ledger = Ledger(self.database)
        run = approve(ledger, made, made.to_apply, "ada", self.now, kind="run", reason=reason)
        return made, run

    def approve_all(self, *machines, **terms):
        """Approve the plan of this moment, or that of some machines, as another process does."""
        fleet = self.loop.fleet
        seen = observe(self.database, fleet.machines.values(), self.outside.images(), self.now)
        made = plan(fleet, seen, self.now)
        names = {machine.name for machine in machines or fleet.machines.values()}
        items = [item for item in made.to_apply if item.machine in names]
        approve(Ledger(self.database), made, items, "ada", self.now, **terms)
        return [item.operation for item in items]

    def run(self):
        """Reconcile until nothing is due; return how many machines were looked at."""
        self.loop.follow_ledger()
        for steps in range(10_000):
            if not self.loop.step():
                return steps
        raise AssertionError("the loop does not come to rest")

    def passes(self, time):
        """Let time pass as for a server that runs: it looks at its clocks, and at who is due."""
        left = time.total_seconds()
        while left > 0:
            seconds = min(left, BEAT)
            left -= seconds
            self.steady += seconds
            self.now += timedelta(seconds=seconds)
            self.beat()

    def beat(self):
        news = self.hearing.news()
        if news is not None:
            self.loop.listen_anew(clock_was_set=news.clock_was_set)
        due = self.loop.next_time()
        if due is not None and due <= self.now:
            self.run()

    def use(self, fleet):
        self.loop.use(fleet, FleetHardware(fleet.machines.values()))

    def states(self):
        return {each.operation.machine: each.state for each in self.loop.operations.current()}

    def boots_over_the_network(self, machine):
        request = BootRequest("dhcp", machine.macs[0], machine.uuid, 0, "0.0.0.0", "x")  # noqa: S104
        return self.boots.decide(request)

    def restarts(self, machine):
        """Ask for a boot as a machine does that restarted, until its agent was silent enough."""
        self.now += timedelta(seconds=1)
        assert isinstance(self.boots_over_the_network(machine), AskAgain)
        self.now += RESTART_SILENCE + timedelta(microseconds=1)
        return self.boots_over_the_network(machine)

    def close(self):
        self.database.close()
