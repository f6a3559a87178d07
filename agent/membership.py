"""How an installed agent stays one that its server knows, for years."""

from typing import Protocol

from attrs import frozen

from agent.errors import CodedError
from agent.exchange import ExchangeFile
from agent.readmission import Readmission
from agent.renewal import Renewal
from agent.wire.report import ReportAnswer


class Membership(Protocol):
    """What a session asks and tells about the agent's standing with the server."""

    @property
    def exchange(self) -> str:
        """What the next report shows; empty where the server gave nothing."""

    def answered(self, answer: ReportAnswer) -> None:
        """Take notice of the answer to a report."""

    def refused(self, error: CodedError) -> bool:
        """Return whether the agent is let in again, now that the server refused it."""


class NoMembership:
    """An agent that ends with its session."""

    exchange = ""

    def answered(self, answer: ReportAnswer) -> None:
        """Nothing."""

    def refused(self, error: CodedError) -> bool:
        """Return False."""
        del error
        return False


@frozen
class InstalledMembership:
    """The installed agent's."""

    kept: ExchangeFile
    renewal: Renewal
    readmission: Readmission

    @property
    def exchange(self) -> str:
        """What the next report shows."""
        return self.kept.value()

    def answered(self, answer: ReportAnswer) -> None:
        """Keep the value, durably, and renew at the next turn where the server says so."""
        self.kept.keep(answer.exchange)
        self.renewal.told(due=answer.renew)

    def refused(self, error: CodedError) -> bool:
        """Ask to come back where that may help."""
        return self.readmission.ask(error)
