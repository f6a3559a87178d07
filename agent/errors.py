"""Errors of the agent.

AgentError
├── TransientError   the same call may succeed later: retry with back-off
└── TerminalError    retrying cannot help: report and stop
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
