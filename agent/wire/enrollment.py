"""How an agent becomes known to the server."""

from attrs import field, frozen, validators


@frozen
class EnrollmentRequest:
    """Body of ``POST /v1/enroll``. The token is for this key; the key stays on the machine.

    What an older agent does not say is empty. The server bounds all of it.
    """

    token: str = field(repr=False, validator=validators.max_len(200))
    csr: str = field(validator=validators.max_len(20_000))
    """PEM certificate signing request, P-256; its subject is ignored."""
    environment: str = field(validator=validators.in_(("deploy-os", "installed")))
    macs: tuple[str, ...]
    uuid: str
    """SMBIOS system UUID in lower case, empty where there is none."""
    agent_version: str
    serial: str = ""
    """As SMBIOS has it, like maker and product; empty where it does not say."""
    vendor: str = ""
    product: str = ""
    hostname: str = ""
    """Of the installed system, as all below; empty in the Deploy-OS."""
    addresses: tuple[str, ...] = ()
    """CIDR form, global scope only."""
    os: str = ""
    """PRETTY_NAME of os-release."""


@frozen
class Enrollment:
    """The answer: who the agent now is."""

    machine: str
    certificate: str
    """PEM client certificate."""
    authority: str
    """PEM certificate of the server's certification authority, the trust root from now on."""
