"""What an installed agent is told when it reports; and whether it is a copy of another.

The answer says whether to renew the certificate, and has the value that the next report shows.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog

from agent.wire.report import ReportAnswer
from reconciler.server.certificates import is_renewal_due
from reconciler.server.control_plane import ControlPlane
from reconciler.state.exchanges import Shown, judge
from reconciler.trust.authority import Authority
from reconciler.trust.tls import AgentCertificate
from specs.fleet import CompiledMachine

BOTH_WITHIN = timedelta(hours=1)
"""Reports of two kinds of hardware within this time are of two machines, none was rebuilt."""
_BOOT_SHOWN = 8
log = structlog.get_logger(__name__)


class _Foreign(NamedTuple):
    at: datetime
    what: str


class ReportAnswers:
    """Answers reports, and notices copies of agents."""

    def __init__(
        self,
        plane: ControlPlane,
        authority: Authority,
        new_value: Callable[[], str],
        orders: Callable[[CompiledMachine], str],
    ) -> None:
        """``orders`` returns the digest of what a machine is to install by itself."""
        self._orders = orders
        self._plane = plane
        self._authority = authority
        self._new_value = new_value
        self._foreign: dict[str, _Foreign] = {}
        """By an agent's name, the last report of other hardware with its certificate."""

    def answer(
        self,
        certificate: AgentCertificate,
        machine: CompiledMachine | None,
        shown: Shown,
        source: str,
        finished: str,
    ) -> ReportAnswer:
        """Return the answer to the report of an installed system; ``machine`` is whose it is."""
        renew = is_renewal_due(certificate, self._authority, self._plane.now())
        exchange = self._exchange(certificate, shown, source)
        return ReportAnswer(finished, exchange, renew, self._orders(machine) if machine else "")

    def foreign(self, agent: str, source: str, reason: str) -> None:
        """Take notice of a report of hardware that is not the certificate's machine's."""
        self._foreign[agent] = _Foreign(self._plane.now(), f"{reason} (from {source})")

    def own(self, agent: str, source: str) -> None:
        """Take notice of a report of the machine's own hardware: the other one was a copy's."""
        found = self._foreign.pop(agent, None)
        if found is not None and self._plane.now() - found.at <= BOTH_WITHIN:
            self._quarantine(
                agent,
                f"its own hardware reports from {source}, and so does other hardware: {found.what}",
            )

    def _exchange(self, certificate: AgentCertificate, shown: Shown, source: str) -> str:
        name, plane = certificate.agent.machine, self._plane
        known = plane.exchanges.find(name)
        whence = f"boot {shown.boot_id[:_BOOT_SHOWN]} at {source}"
        judged = judge(known, shown._replace(whence=whence), plane.now(), self._new_value())
        if judged.exchange is not None:
            plane.exchanges.keep(name, judged.exchange)
        if judged.verdict == "copied":
            self._quarantine(name, f"{judged.others} and {whence} contradict each other in turn")
        elif judged.verdict == "suspected":
            self._suspect(name, whence)
        elif judged.verdict == "calm":
            plane.reconciler.faults.end(f"agent/{name}")
        return judged.answer

    def _suspect(self, name: str, whence: str) -> None:
        cause = (
            f"the agent of {name} ({whence}) has an older state than it had: it was restored from "
            "a snapshot or backup, or this is a copy of it"
        )
        log.warning("agent's state is older than it was", code="RW525", machine=name, cause=cause)
        self._plane.reconciler.faults.record(f"agent/{name}", "RW525", cause, self._plane.now())

    def _quarantine(self, name: str, what: str) -> None:
        reason = f"RW524: two machines have the agent state of {name}: {what}"
        machine = self._plane.machine_of_agent(name)
        known = machine.hardware_identities if machine else (f"name:{name}",)
        key = machine.name if machine else name
        if self._plane.machines.quarantine(key, known):
            return
        self._plane.machines.set_quarantine(key, known, reason, self._plane.now())
        log.error("machine quarantined", code="RW524", machine=name, reason=reason)
