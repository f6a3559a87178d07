"""The errors of all packages: a code, a cause and an action. These are the agent's own.

CodedError               what a person is told, whatever package it comes from
├── TransientError       the same call may succeed later: retry with back-off
├── TerminalError        retrying cannot help: report and stop
│   ├── RefusedError     the server does not let this agent in
│   ├── FencedError      another attempt took over: stop at once, say nothing more
│   ├── EndedError       the server ended this operation: stop at once
│   ├── TimeLimitError   the steps should have ended by now
│   ├── StepFailedError       a step failed, and found something all the same
│   │   └── FinishedWorkError the work was done before: it is never done again
│   ├── CommandError     an external program failed
│   │   └── MissingCommandError   it is not there
│   ├── UnwritableFileError   a file could not be written
│   └── …                agent.imaging.errors, agent.steps.step_thread, providers.*.errors
└── ReconcilerError      reconciler.errors

Codes. RW200 to RW229 are those of packages (``agent.packages``), RW401 to RW422 imaging's
(``agent.imaging.errors``).
Codes. RW240 no shutdown waits · RW241 put off for too long · RW242 given up · RW243 the agent was
not understood or does not answer · RW244 not this person's to say · RW245 the login manager's
answer · RW246 no length of time · RW284 to RW287 files that people ask for

RW401 to RW429 are imaging's (``agent.imaging.errors``).

RW451 no such disk · RW452 several such disks · RW453 unknown disk role · RW454 read-only ·
RW455 no digest · RW456, RW457 manifest and digest differ

RW460 no root file system · RW461 several · RW462 the system lacks something · RW463 a volume group
is on another disk, too · RW464 odd file
in it · RW465 a file system cannot be mounted · RW466 Windows · RW467 wrong value in the identity ·
RW468 a part of it is on another disk · RW469 the agent's packages have no sources

RW470 the image store has no room

RW551 another certificate than the pinned one · RW552 certificate not verified · RW553 refused ·
RW554 fenced · RW555 not accepted · RW557 unreachable · RW558 busy · RW559 answer not understood ·
RW560 bad address or command line · RW561 bad credentials · RW562 bad configuration · RW563 no
token · RW564 an attempt is not begun twice · RW565 a command failed · RW566 is missing · RW567
reboot(2) refused · RW568 partition table, RW569 addresses unreadable · RW570 impossible steps ·
RW571 step for another environment · RW572 a file cannot be written · RW575 a part of an array ·
RW573, RW574 work that is finished already · RW576 a time limit passed · RW577 the server ended
the operation · RW580 not joined · RW581 no usable token · RW582 joined already · RW583 no
server to join · RW584 an answer about the certificate not understood · RW585 waits to be let in
again · RW590 to RW592 a command failed · RW593 packages are not there · RW594 to RW597 files ·
RW598 not on Windows · RW599 an error of the agent itself

RW605 a release is not trusted · RW606 does not fit · RW607 is none · RW608 did not work ·
RW609 this agent cannot be exchanged
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_LONGEST_LINE = 500


class CodedError(Exception):
    """Something failed or was refused, in words for a person.

    ``code`` is the stable name (``RW`` and three digits), ``cause`` says what happened
    with the two values that disagree, ``action`` says what a person can do. Its text is
    ``code: cause. action.`` It can be copied, pickled and sent to another process
    whatever parameters the constructor of its class has.
    """

    def __init__(self, code: str, cause: str, action: str) -> None:
        super().__init__(f"{code}: {cause}. {action}.")
        self.code = code
        self.cause = cause
        self.action = action

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep the text and the attributes; the constructor is not called again."""
        return _restored, (type(self), self.args), self.__dict__


def one_line(error: BaseException) -> str:
    """Return any exception as one bounded line."""
    coded = isinstance(error, CodedError)
    text = str(error) if coded or not str(error) else f"{type(error).__name__}: {error}"
    return " ".join((text or type(error).__name__).split())[:_LONGEST_LINE]


def _restored(kind: type[CodedError], arguments: tuple[Any, ...]) -> CodedError:
    return kind.__new__(kind, *arguments)


class TransientError(CodedError):
    """The same call may succeed later."""


class TerminalError(CodedError):
    """Retrying cannot help; the operation stops here."""


class RefusedError(TerminalError):
    """The server does not let this agent in (RW553).

    ``status`` is that of HTTP. 401: its certificate is not good any more, so that it may ask for
    another one.
    """

    def __init__(self, cause: str, action: str, status: int) -> None:
        super().__init__("RW553", cause, action)
        self.status = status


class NotAcceptedError(TerminalError):
    """The server did not accept a request (RW555). ``status`` is that of HTTP."""

    def __init__(self, cause: str, action: str, status: int) -> None:
        super().__init__("RW555", cause, action)
        self.status = status


class FencedError(TerminalError):
    """Another attempt took over this operation: nothing more may be done for it."""


class EndedError(TerminalError):
    """The server ended this operation, or a person cancelled it: nothing more may be done."""


class TimeLimitError(TerminalError):
    """The steps should have ended by now (RW576)."""

    def while_waiting(self, error: TransientError) -> "TimeLimitError":
        """Return it with what was waited for when the time was up."""
        return TimeLimitError(self.code, f"{self.cause}: {error.cause}", error.action)


class CommandError(TerminalError):
    """An external program failed or did not end in time (RW565).

    ``program`` is its name, ``words`` what it said last, ``status`` its exit status,
    None when it did not end by itself.
    """

    def __init__(
        self, argv: Sequence[str], problem: str, words: str, status: int | None = None
    ) -> None:
        said = words or ("no message" if status is not None else "")
        super().__init__(
            "RW565",
            f"{' '.join(argv)} {problem}{f': {said}' if said else ''}",
            "See the message of the command"
            if status is not None
            else "Look at the device that it works on",
        )
        self.program = argv[0]
        self.words = words or problem
        self.status = status

    @property
    def line(self) -> str:
        """What it said, in one line."""
        lines = (line.strip() for line in self.words.splitlines())
        return "; ".join(line for line in lines if line)


class MissingCommandError(CommandError):
    """An external program is not there (RW566)."""

    def __init__(self, program: str) -> None:
        TerminalError.__init__(
            self,
            "RW566",
            f"the command {program} does not exist here",
            "Install it in this system",
        )
        self.program = program
        self.words = "is not installed"
        self.status = None


class UnwritableFileError(TerminalError):
    """A file cannot be written (RW572); it is as it was before.

    ``path`` is the file, ``reason`` the system's words, ``errno`` its number.
    """

    def __init__(self, path: Path, reason: str, errno: int | None = None) -> None:
        super().__init__(
            "RW572",
            f"{path} cannot be written: {reason}",
            "Make room there, or let this user write in its folder",
        )
        self.path = path
        self.reason = reason
        self.errno = errno


class StepFailedError(TerminalError):
    """A step failed, and found something all the same: ``found``, as a step's result."""

    def __init__(self, code: str, cause: str, action: str, found: Mapping[str, str]) -> None:
        super().__init__(code, cause, action)
        self.found = dict(found)


class FinishedWorkError(StepFailedError):
    """The work was done already, and the server knew that (RW573, RW574): its ledger is older.

    ``finished`` is when the server said so, by its clock.
    """

    def __init__(self, code: str, cause: str, finished: str) -> None:
        super().__init__(
            code,
            f"{cause}, and the server knew it as verified at {finished}",
            "Look at `rackwright status`: the server's ledger may be an older copy. To do it "
            "again, give the assignment a new run token",
            {"finished": finished},
        )
        self.finished = finished
