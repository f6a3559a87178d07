"""Errors of network boot.

TerminalError (agent.errors)
├── MalformedPacketError   RW309  a datagram that is no DHCP message
├── PortTakenError         RW301  another process has the port
├── InterfaceError         RW302  the address or the interface cannot be used
├── BootFilesError         RW303, RW304  the Deploy-OS files are missing or damaged
└── BootScriptError        RW305  a value that must not stand in a boot script

What goes wrong while a machine is being answered is no exception but a
``Problem``: the machine gets an answer all the same, and a person a clear text.
"""

from dataclasses import dataclass

from agent.errors import TerminalError


class MalformedPacketError(TerminalError):
    """The datagram is no DHCP message; nothing was done with it."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            "RW309",
            f"a DHCP packet cannot be read: {cause}",
            "Nothing was answered; capture the packet if the machine behind it should boot",
        )


class PortTakenError(TerminalError):
    """Another process listens on a port that network boot needs."""


class InterfaceError(TerminalError):
    """The address is not on this host, the interface is missing, or the right to bind is."""


class BootFilesError(TerminalError):
    """The boot files directory lacks something or holds something damaged."""


class BootScriptError(TerminalError):
    """A value holds characters that could change the meaning of a boot script."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a person must know although the machine was answered.

    ``code``, ``cause`` and ``action`` as in ``CodedError``.
    """

    code: str
    cause: str
    action: str

    def __str__(self) -> str:
        """Return one line for logs and the boot timeline."""
        return f"{self.code}: {self.cause}. {self.action}."
