"""Errors of the control plane.

CodedError (agent.errors)
└── ReconcilerError
    ├── SourceError      desired state cannot be read from Git or a directory   RW71x
    │                    or its commit may not be acted on                      RW73x, RW740
    ├── TrustError       keys, certificates, tokens                   RW50x, RW52x, RW54x
    │   └── OutdatedCertificateError   was good once: its agent may ask to come back
    ├── StateError       observed state and the ledger                          RW7xx
    │   └── OvertakenError   the caller knew less than the ledger               RW704
    └── AuthoringError   reconciler.authoring.rewrite                           RW93x

RW997, of images that people look into, is a plain ReconcilerError.
"""

from agent.errors import CodedError


class ReconcilerError(CodedError):
    """The control plane cannot do what was asked; nothing else changed."""


class SourceError(ReconcilerError):
    """Desired state cannot be read; whoever has an older revision keeps it."""


class TrustError(ReconcilerError):
    """A key, certificate, certificate request or token is not acceptable."""


class SecretError(TrustError):
    """A secret is nowhere (RW986), or where it is others may read it or it is none (RW987)."""


class OutdatedCertificateError(TrustError):
    """An agent's certificate was good once; the agent may ask for another one."""


class StateError(ReconcilerError):
    """Observed state or the ledger cannot be read or written."""


class OvertakenError(StateError):
    """Another process moved the operation meanwhile: whoever gets this looks at it again."""
