"""The reconcile loop with its database, its boots and its agents' interface, and no sockets."""

from sqlalchemy import event

from builders.outside import FakeOutside
from builders.world import NOW, a_disk, a_report, an_image, an_installed_system
from providers.netboot.decision import BootRequest
from reconciler.loop.approval import approve
from reconciler.loop.reconcile import Reconciler
from reconciler.planning.planner import plan
from reconciler.server.boots import BootDecisions
from reconciler.server.control_plane import AgentEndpoint, ControlPlane
from reconciler.state.database import open_database
from reconciler.state.hardware import FleetHardware
from reconciler.state.ledger import Ledger
from reconciler.state.world import observe


class LoopServer:
    """A loop on a database of its own, with a clock that is set by hand."""

    def __init__(self, path, fleet, *, unattended=False, now=NOW):
        self.now = now
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

    def approve_all(self):
        """Approve the plan of this moment, as another process does."""
        fleet = self.loop.fleet
        seen = observe(self.database, fleet.machines.values(), self.outside.images(), self.now)
        made = plan(fleet, seen, self.now)
        approve(Ledger(self.database), made, made.to_apply, "ada", self.now)
        return [item.operation for item in made.to_apply]

    def run(self):
        """Reconcile until nothing is due; return how many machines were looked at."""
        self.loop.follow_ledger()
        for steps in range(10_000):
            if not self.loop.step():
                return steps
        raise AssertionError("the loop does not come to rest")

    def use(self, fleet):
        self.loop.use(fleet, FleetHardware(fleet.machines.values()))

    def states(self):
        return {each.operation.machine: each.state for each in self.loop.operations.current()}

    def boots_over_the_network(self, machine):
        request = BootRequest("dhcp", machine.macs[0], machine.uuid, 0, "0.0.0.0", "x")  # noqa: S104
        return self.boots.decide(request)

    def close(self):
        self.database.close()
