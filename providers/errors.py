"""Errors of the providers.

ProviderError
├── TransientError   the same call may succeed later
└── TerminalError    retrying cannot help
"""


class ProviderError(Exception):
    """Something in the world did not do what was asked.

    ``code`` is the stable name (``RW3xx`` netboot, ``RW4xx`` imaging, ``RW6xx``
    power, ``RW8xx`` lab and supervision), ``cause`` says what happened, ``action`` what a person
    can do.
    """

    def __init__(self, code: str, cause: str, action: str) -> None:
        super().__init__(f"{code}: {cause}. {action}.")
        self.code = code
        self.cause = cause
        self.action = action


class TransientError(ProviderError):
    """The same call may succeed later."""


class TerminalError(ProviderError):
    """Retrying cannot help."""
