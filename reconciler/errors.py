"""Errors of the control plane.

ReconcilerError
├── SourceError   desired state cannot be read from Git or a directory   RW71x
│                 or its commit may not be acted on                      RW73x, RW740
├── TrustError    keys, certificates, tokens                             RW50x
└── StateError    observed state and the ledger                          RW7xx
    └── OvertakenError  the caller knew less than the ledger             RW704
"""


class ReconcilerError(Exception):
    """The control plane cannot do what was asked; nothing else changed.

    ``code`` is the stable name, ``cause`` says what happened, ``action`` what a
    person can do. ``exit_code`` is what the command line returns.
    """

    exit_code = 1

    def __init__(self, code: str, cause: str, action: str) -> None:
        super().__init__(f"{code}: {cause}. {action}.")
        self.code = code
        self.cause = cause
        self.action = action


class SourceError(ReconcilerError):
    """Desired state cannot be read; whoever has an older revision keeps it."""


class TrustError(ReconcilerError):
    """A key, certificate, certificate request or token is not acceptable."""


class StateError(ReconcilerError):
    """Observed state or the ledger cannot be read or written."""


class OvertakenError(StateError):
    """Another process moved the operation meanwhile: whoever gets this looks at it again."""
