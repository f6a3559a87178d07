"""wmic.exe and systeminfo.exe: what the registry does not say.

Source: Microsoft, "wmic", "systeminfo" (Windows Commands). Windows 11 from 24H2 on comes
without ``wmic``. Names of properties are not translated.
"""

import re

from agent.commands.windows.host import Windows, console_text
from agent.errors import MissingCommandError

_SYSTEMINFO_SECONDS = 300.0
_HOTFIX = re.compile(r"\[\d{1,4}\]: (KB\d{6,8})\b")


def property_arguments(wmi_class: str, name: str) -> list[str]:
    """Return the command that prints one property of all objects of a class."""
    return ["wmic.exe", "path", wmi_class, "get", name, "/value"]


def systeminfo_arguments() -> list[str]:
    """Return the command that prints, among much that is translated, the hotfixes."""
    return ["systeminfo.exe", "/fo", "csv", "/nh"]


def parse_property(text: str, name: str) -> tuple[str, ...]:
    """Return a property's values, from ``NAME=VALUE`` lines or a column below ``NAME``."""
    lines = [line.strip() for line in text.splitlines()]
    values = [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]
    if not values and name in lines:
        values = lines[lines.index(name) + 1 :]
    return tuple(value for value in values if value)


def parse_hotfixes(text: str) -> tuple[str, ...]:
    """Return the ``KB…`` that ``systeminfo`` lists."""
    return tuple(dict.fromkeys(_HOTFIX.findall(text)))


def properties(windows: Windows, wmi_class: str, name: str) -> tuple[str, ...] | None:
    """Return a property of all objects of a class; None where there is no ``wmic`` or it fails."""
    try:
        done = windows.run(property_arguments(wmi_class, name))
    except MissingCommandError:
        return None
    return parse_property(console_text(done.stdout), name) if done.status == 0 else None


def systeminfo_hotfixes(windows: Windows) -> tuple[str, ...]:
    """Return the ``KB…`` that ``systeminfo`` lists; it takes seconds."""
    done = windows.run(systeminfo_arguments(), timeout=_SYSTEMINFO_SECONDS)
    return parse_hotfixes(console_text(done.stdout))
