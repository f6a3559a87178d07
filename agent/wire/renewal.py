"""How an agent that was enrolled gets further certificates."""

from attrs import field, frozen, validators

from agent.wire.report import Hardware

_LONGEST = 20_000


@frozen
class RenewalRequest:
    """Body of ``POST /v1/renew``, over mutual TLS with the present certificate."""

    csr: str = field(validator=validators.max_len(_LONGEST))
    """PEM certificate signing request for a new P-256 key; its subject is ignored."""


@frozen
class RenewedCertificate:
    """The answer: the certificate, and whom to trust from now on."""

    certificate: str
    """PEM client certificate."""
    authority: str
    """PEM certificates of the authority, one for each of its keys that is in use."""


@frozen
class ReturnQuestion:
    """Body of ``POST /v1/return``, without a client certificate: the agent's own has expired."""

    certificate: str = field(validator=validators.max_len(_LONGEST))
    """The last certificate, PEM."""
    csr: str = field(validator=validators.max_len(_LONGEST))
    """PEM certificate signing request for, and thereby signed by, the key of that certificate."""
    hardware: Hardware


@frozen
class ReturnAnswer:
    """The answer: a certificate, or why the agent has to wait."""

    certificate: str
    """PEM client certificate; empty where the agent has to wait."""
    authority: str
    waits: str
    """Why a person has to accept it, as a clause; empty where there is a certificate."""
