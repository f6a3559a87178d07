"""The agent's conversation with the server about its updates: one method per endpoint."""

from attrs import frozen

from agent.transport import Transport
from agent.wire.codec import WireError, decode, encode
from agent.wire.updates import Permission, RestartRequest, UpdateOrders, UpdateReport


@frozen
class UpdateChannel:
    """Every method raises what ``Transport.send`` raises."""

    transport: Transport

    def orders(self) -> UpdateOrders:
        """Return what the machine is to install by itself: ``GET /v1/updates``.

        WireError where a newer server orders what this agent does not understand.
        """
        return decode(UpdateOrders, self.transport.send("GET", "/v1/updates"))

    def report(self, report: UpdateReport) -> None:
        """Say how far it is: ``POST /v1/updates``."""
        self.transport.send("POST", "/v1/updates", encode(report))

    def may_fetch(self) -> Permission:
        """Ask for a turn to fetch files: ``POST /v1/updates/fetch``."""
        return self._ask("fetch", b"{}")

    def may_restart(self, boot_id: str) -> Permission:
        """Ask whether the machine may restart now: ``POST /v1/updates/restart``."""
        return self._ask("restart", encode(RestartRequest(boot_id)))

    def _ask(self, what: str, body: bytes) -> Permission:
        answer = self.transport.send("POST", f"/v1/updates/{what}", body)
        try:
            return decode(Permission, answer)
        except WireError:
            return Permission(granted=False, why="the server's answer was not understood")
