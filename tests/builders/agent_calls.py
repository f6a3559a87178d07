"""What agents ask of a server, without a network: the real handlers, called directly."""

from types import SimpleNamespace
from typing import Any

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from agent.wire.codec import encode
from agent.wire.report import Report, ReportAnswer
from agent.wire.work import Claim, OperationEvent, Work
from reconciler.server.agent_api import AgentApi
from reconciler.server.contradictions import Contradictions
from reconciler.server.notifier import Notifier
from reconciler.state.ledger_lines import LedgerLines
from reconciler.trust.identity import AgentIdentity


class _Body:
    """The content of a request, there at once."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def iter_any(self) -> Any:
        """Yield all of it."""
        yield self._data


class FakeAuthentication:
    """Says who asks, as a certificate would prove it."""

    peer: AgentIdentity

    def agent(self, request: web.Request, environment: str | None = None) -> AgentIdentity:
        """Return who asks."""
        del request, environment
        return self.peer

    def certificate(self, request: web.Request) -> Any:
        """Return a certificate of which only the name is read."""
        del request
        return SimpleNamespace(agent=self.peer)


class FakeAnswers:
    """Answers reports without looking for copies of agents."""

    def answer(
        self, _certificate: Any, _machine: Any, _shown: Any, _source: str, finished: str
    ) -> ReportAnswer:
        """Return when the operation was verified."""
        return ReportAnswer(finished)

    def own(self, agent: str, source: str) -> None:
        """Take no notice."""

    def foreign(self, agent: str, source: str, reason: str) -> None:
        """Take no notice."""


class AgentCalls:
    """Each call returns the status of its answer."""

    def __init__(self, plane: Any, database: Any) -> None:
        contradictions = Contradictions(plane, LedgerLines(database))
        unused: Any = None
        self._who: Any = FakeAuthentication()
        answers: Any = FakeAnswers()
        self._api = AgentApi(
            plane,
            unused,
            unused,
            Notifier(),
            contradictions,
            unused,
            self._who,
            answers,
            unused,
            unused,
        )

    def claim(
        self, machine: str, operation: str, attempt: int, environment: str = "deploy-os"
    ) -> int:
        """Claim an operation."""
        return self._call("claim", machine, environment, Claim(attempt), operation)

    def event(
        self,
        machine: str,
        operation: str,
        event: OperationEvent,
        environment: str = "deploy-os",
    ) -> int:
        """Say something about an operation."""
        return self._call("event", machine, environment, event, operation)

    def offered(self, machine: str) -> Work | None:
        """Return the work that the agent of an installed system would be handed out now."""
        return self._api._work_for(AgentIdentity(machine, "installed"), machine)

    def report(self, machine: str, report: Report) -> int:
        """Report."""
        environment = "installed" if report.installed else "deploy-os"
        return self._call("report", machine, environment, report)

    def _call(
        self, route: str, machine: str, environment: Any, message: object, operation: str = ""
    ) -> int:
        self._who.peer = AgentIdentity(machine, environment)
        request = make_mocked_request(
            "POST",
            f"/v1/{route}",
            match_info={"operation": operation},
            payload=_Body(encode(message)),
        )
        handling = getattr(self._api, route)(request)
        try:
            handling.send(None)  # nothing in it waits
        except StopIteration as end:
            return int(end.value.status)
        except web.HTTPException as refusal:
            return refusal.status
        raise AssertionError(f"{route} waits")
