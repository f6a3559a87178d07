"""The agent's conversation with the server about its work: one method per endpoint."""

from attrs import frozen

from agent.transport import Transport
from agent.wire.codec import WireError, decode, encode
from agent.wire.evidence import EvidenceName
from agent.wire.report import EXCHANGE_HEADER, Report, ReportAnswer
from agent.wire.work import Claim, OperationEvent, Work

_POLL_GRACE_SECONDS = 15.0
_EVIDENCE_SECONDS = 10.0


@frozen
class WorkChannel:
    """Reports, work, claims and events of one machine.

    Every method raises what ``Transport.send`` raises.
    """

    transport: Transport

    def report(self, report: Report, exchange: str = "") -> ReportAnswer:
        """Say what the machine is: ``POST /v1/report``; return what the server has to say."""
        shown = (EXCHANGE_HEADER, exchange) if exchange else None
        answer = self.transport.send("POST", "/v1/report", encode(report), header=shown)
        try:
            return decode(ReportAnswer, answer) if answer else ReportAnswer()
        except WireError:  # of a newer server
            return ReportAnswer()

    def work(self, wait: int) -> Work | None:
        """Ask for work and let the server hold the request for ``wait`` seconds.

        None when there is none; WireError when the work has a form unknown to this agent.
        """
        answer = self.transport.send(
            "GET",
            f"/v1/work?wait={wait}",
            read_seconds=wait + _POLL_GRACE_SECONDS,
            quick_retries=False,
        )
        return decode(Work, answer) if answer else None

    def claim(self, work: Work) -> None:
        """Take the work: consumes its grant. FencedError where it is no longer ours."""
        path = f"/v1/operations/{work.operation}/claim"
        self.transport.send("POST", path, encode(Claim(work.attempt)))

    def event(self, operation: str, event: OperationEvent) -> None:
        """Tell how the work goes; a repeated delivery is recognised by its sequence."""
        self.transport.send("POST", f"/v1/operations/{operation}/events", encode(event))

    def evidence(self, operation: str, attempt: int, name: EvidenceName, packed: bytes) -> None:
        """Bring one text, compressed; one that was there is replaced."""
        self.transport.send(
            "PUT",
            f"/v1/operations/{operation}/evidence/{attempt}/{name}",
            packed,
            content_type="application/zstd",
            read_seconds=_EVIDENCE_SECONDS,
            quick_retries=False,
        )
