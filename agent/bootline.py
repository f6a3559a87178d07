"""What the boot loader tells the Deploy-OS on the kernel command line.

``rackwright.server=https://HOST:PORT``, ``rackwright.pin=SHA256`` of the server's
leaf certificate (DER) in hexadecimal, ``rackwright.token=TOKEN`` (single use),
optionally ``rackwright.idle=SECONDS`` and ``BOOTIF=01-AA-BB-CC-DD-EE-FF`` (the
hardware type and MAC of the boot NIC, as PXELINUX writes it).
"""

import re

from attrs import field, frozen

from agent.errors import TerminalError

DEFAULT_IDLE_SECONDS = 900

_SERVER = re.compile(r"https://[^/\s]+/?")
_PIN = re.compile(r"[0-9a-f]{64}")
_BOOTIF = re.compile(r"01((?:[-:][0-9a-f]{2}){6})")


@frozen
class BootLine:
    """The command line, read and checked."""

    server: str
    pin: str
    token: str = field(repr=False)
    idle: int = DEFAULT_IDLE_SECONDS
    boot_mac: str = ""
    """Lower case with colons; empty where the boot loader did not say."""


def parse_boot_line(text: str) -> BootLine:
    """Return what the command line says; TerminalError RW560 naming all that is wrong."""
    words = dict(_split(word) for word in text.split())
    server = words.get("rackwright.server", "")
    pin = words.get("rackwright.pin", "").lower().replace(":", "")
    token = words.get("rackwright.token", "")
    idle = words.get("rackwright.idle", str(DEFAULT_IDLE_SECONDS))
    wrong = [
        _problem("rackwright.server", server, "an https:// URL", _SERVER.fullmatch(server)),
        _problem("rackwright.pin", pin, "64 hexadecimal digits", _PIN.fullmatch(pin)),
        None if token else "rackwright.token is missing",
        _problem("rackwright.idle", idle, "a number of seconds", re.fullmatch("[0-9]{1,9}", idle)),
    ]
    problems = [problem for problem in wrong if problem]
    if problems:
        raise TerminalError(
            "RW560",
            f"the kernel command line cannot be used: {'; '.join(problems)}",
            "Boot this machine through Rackwright, which writes these parameters",
        )
    return BootLine(server.rstrip("/"), pin, token, int(idle), _boot_mac(words.get("BOOTIF", "")))


def _split(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name, value


def _problem(name: str, value: str, wanted: str, match: re.Match[str] | None) -> str | None:
    if match:
        return None
    return f"{name} is {value!r}, not {wanted}" if value else f"{name} is missing"


def _boot_mac(value: str) -> str:
    match = _BOOTIF.fullmatch(value.lower())
    return match.group(1)[1:].replace("-", ":") if match else ""
