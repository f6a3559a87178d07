"""Errors of network boot. Each is a ``TerminalError`` with one of these codes.

RW301 another process has the port · RW302 the address or the interface cannot be used ·
RW303, RW304 the Deploy-OS files are missing or damaged · RW305 a value that must not stand in a
boot script · RW309 a datagram that is no DHCP message · RW312 no base URL for machines

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
