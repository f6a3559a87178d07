"""What agents ask of a server, without a network: the real handlers, called directly."""

from typing import Any

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from agent.wire.codec import encode
from agent.wire.report import Report
from agent.wire.work import Claim, OperationEvent
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


class _KnownPeerApi(AgentApi):
    """The API with the identity that a certificate would prove."""

    peer: AgentIdentity

    def _peer(self, request: web.Request, environment: str | None = None) -> AgentIdentity:
        del request, environment
        return self.peer


class AgentCalls:
    """Each call returns the status of its answer."""

    def __init__(self, plane: Any, database: Any) -> None:
        contradictions = Contradictions(plane, LedgerLines(database))
        unused: Any = None
        self._api = _KnownPeerApi(plane, unused, unused, Notifier(), contradictions, unused)

    def claim(self, machine: str, operation: str, attempt: int) -> int:
        """Claim an operation from within the Deploy-OS."""
        return self._call("claim", machine, "deploy-os", Claim(attempt), operation)

    def event(self, machine: str, operation: str, event: OperationEvent) -> int:
        """Say something about an operation."""
        return self._call("event", machine, "deploy-os", event, operation)

    def report(self, machine: str, report: Report) -> int:
        """Report."""
        environment = "installed" if report.installed else "deploy-os"
        return self._call("report", machine, environment, report)

    def _call(
        self, route: str, machine: str, environment: Any, message: object, operation: str = ""
    ) -> int:
        self._api.peer = AgentIdentity(machine, environment)
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
