"""ipconfig.exe: the addresses of network cards.

Of what it prints everything is translated but the addresses. Six pairs of digits are a card's
address; longer rows of pairs are identifiers of DHCPv6.
"""

import re

from agent.commands.windows.host import Windows, console_text

_MAC = re.compile(r"(?<![0-9A-Fa-f-])[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}(?![0-9A-Fa-f-])")


def all_arguments() -> list[str]:
    """Return the command that prints all of every card."""
    return ["ipconfig.exe", "/all"]


def parse_macs(text: str) -> tuple[str, ...]:
    """Return the cards' addresses, in lower case and with colons."""
    found = (mac.replace("-", ":").lower() for mac in _MAC.findall(text))
    return tuple(dict.fromkeys(mac for mac in found if mac != "00:00:00:00:00:00"))


def macs(windows: Windows) -> tuple[str, ...]:
    """Return the addresses of the machine's cards."""
    return parse_macs(console_text(windows.run(all_arguments()).stdout))
