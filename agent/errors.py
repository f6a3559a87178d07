"""Errors of the agent.

AgentError
├── TransientError   the same call may succeed later: retry with back-off
└── TerminalError    retrying cannot help: report and stop
    └── FencedError  another attempt took over: stop at once, say nothing more

Codes. RW401 to RW423 are imaging's (``agent.imaging.errors``).

RW451 no such disk · RW452 several such disks · RW453 unknown disk role · RW454 read-only ·
RW455 no digest · RW456, RW457 manifest and digest differ

RW460 no root file system · RW461 several · RW462 the system lacks something · RW464 odd file
in it · RW467 wrong value in the identity · RW468 a part of it is on another disk · RW469 the
agent's packages have no sources

RW551 another certificate than the pinned one · RW552 certificate not verified · RW553 refused ·
RW554 fenced · RW555 not accepted · RW557 unreachable · RW558 busy · RW559 answer not understood ·
RW560 bad address or command line · RW561 bad credentials · RW562 bad configuration · RW563 no
token · RW564 an attempt is not begun twice · RW565 a command failed · RW566 is missing · RW567
reboot(2) refused · RW568 partition table, RW569 addresses unreadable · RW570 impossible steps ·
RW571 step for another environment · RW599 an error of the agent itself
"""


class AgentError(Exception):
    """Something went wrong on the machine.

    ``code`` is the stable name (``RW4xx`` imaging, ``RW5xx`` agents and trust),
    ``cause`` says what happened with the two values that disagree, ``action``
    says what a person can do.
    """

    def __init__(self, code: str, cause: str, action: str) -> None:
        super().__init__(f"{code}: {cause}. {action}.")
        self.code = code
        self.cause = cause
        self.action = action


class TransientError(AgentError):
    """The same call may succeed later."""


class TerminalError(AgentError):
    """Retrying cannot help; the operation stops here."""


class FencedError(TerminalError):
    """Another attempt took over this operation: nothing more may be done for it."""
