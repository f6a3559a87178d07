"""A system that only remembers, to install packages on: it stands for a whole machine."""

from collections.abc import Mapping
from pathlib import Path

from agent.commands.ended import Ended
from agent.errors import CodedError, TerminalError
from agent.packages.adapter import SystemFacts
from agent.wire.package import FileSign, WantedPackage


class PowerLost(BaseException):
    """The machine stops here."""


class FakeSystem:
    """What is installed, what waits for a restart, and how often each installer was run.

    ``behaviour`` of a package: ``ok``; ``after-restart`` (there only then, status 3010); ``wants``
    (there, status 3010); ``fails``; ``fails-but-is-there``; ``lies``; ``breaks`` (raises).
    ``power_fails`` names packages in the middle of whose installer the machine stops, once each.
    """

    success = frozenset[int]()
    reboot_needed = frozenset({3010})

    def __init__(self, behaviour: Mapping[str, str] | None = None) -> None:
        self.behaviour = dict(behaviour or {})
        self.there: set[str] = set()
        self.after_restart: set[str] = set()
        self.runs: list[tuple[int, str]] = []
        self.repairs = 0
        self.boots = 1
        self.power_fails: set[str] = set()
        self.checks: dict[str, CodedError] = {}
        self.pending = False

    def restart(self) -> None:
        self.boots += 1
        self.there |= self.after_restart
        self.after_restart.clear()
        self.pending = False

    def ran(self, name: str) -> int:
        return sum(other == name for _, other in self.runs)

    # What the engine asks of a system.

    def facts(self) -> SystemFacts:
        return SystemFacts(("rocky", "rhel"), ("9.4",), "amd64", ("pt-BR",))

    def boot(self) -> str:
        return f"boot-{self.boots}"

    def detects(self, sign: object) -> bool:
        assert isinstance(sign, FileSign)
        if sign.path == "unseen":
            raise TerminalError("RW204", "no such sign here", "Use another")
        return sign.path in self.there

    def adapters(self) -> "Mapping[str, FakeSystem]":
        return {"script": self}

    def reboot_pending(self) -> bool:
        return self.pending

    # What the engine asks of an adapter.

    def repair(self) -> None:
        self.repairs += 1

    def check(self, wanted: WantedPackage, files: Mapping[str, Path]) -> None:
        del files
        if wanted.name in self.checks:
            raise self.checks[wanted.name]

    def install(self, wanted: WantedPackage, files: Mapping[str, Path]) -> Ended:
        del files
        name = wanted.name
        self.runs.append((self.boots, name))
        if name in self.power_fails:
            self.power_fails.remove(name)
            raise PowerLost
        behaviour = self.behaviour.get(name, "ok")
        if behaviour == "breaks":
            raise TerminalError("RW566", "the command setup does not exist here", "Install it")
        if behaviour in ("ok", "wants", "fails-but-is-there"):
            self.there.add(name)
        if behaviour == "after-restart":
            self.after_restart.add(name)
        status = {"after-restart": 3010, "wants": 3010, "fails": 1, "fails-but-is-there": 1}
        return Ended(status.get(behaviour, 0), f"{name} says {behaviour}\n", seconds=2.4)

    def failure(self, wanted: WantedPackage, ended: Ended) -> CodedError | None:
        del wanted, ended
        return None

    def version(self, wanted: WantedPackage) -> str:
        return "1.0" if wanted.name in self.there else ""


def package(name: str, **fields: object) -> WantedPackage:
    """Return a package whose sign is a file of its name."""
    more: dict[str, object] = {"detect": (FileSign(name),), **fields}
    return WantedPackage(name, "script", **more)  # type: ignore[arg-type]
