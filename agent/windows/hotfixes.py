r"""Installed updates by their knowledge base article.

The list of component packages (``Component Based Servicing\Packages``, CurrentState 0x70 is
CbsInstallStateInstalled, 0x80 Permanent) names the article of most, but not of cumulative
updates, whose package is called RollupFix; those Win32_QuickFixEngineering has, or, on a
Windows without ``wmic``, ``systeminfo``.
"""

import re

from agent.commands.windows import wmic
from agent.commands.windows.host import Windows
from agent.windows.live_registry import CURRENT_VERSION, read_keys
from agent.windows.registry import Keys, children

PACKAGES = rf"{CURRENT_VERSION}\Component Based Servicing\Packages"
_ARTICLE = re.compile(r"Package_for_(KB[0-9]{6,8})~", re.IGNORECASE)
_NAME = re.compile(r"KB[0-9]{6,8}")
_INSTALLED = (0x70, 0x80)


def read_hotfixes(windows: Windows) -> tuple[str, ...]:
    """Return what is installed, for example ``KB5031356``, sorted. TerminalError RW237."""
    listed = wmic.properties(windows, "Win32_QuickFixEngineering", "HotFixID")
    if listed is None:
        listed = wmic.systeminfo_hotfixes(windows)
    named = {name.upper() for name in listed if _NAME.fullmatch(name.upper())}
    return tuple(sorted(named | set(of_packages(read_keys(windows, PACKAGES)))))


def of_packages(keys: Keys) -> tuple[str, ...]:
    """Return the articles of installed component packages."""
    return tuple(
        found.group(1).upper()
        for key in children(keys, PACKAGES)
        if key.number("CurrentState") in _INSTALLED and (found := _ARTICLE.match(key.name))
    )


def is_hotfix_name(text: str) -> bool:
    """Return whether a text names an update: ``KB`` and its number."""
    return _NAME.fullmatch(text.upper()) is not None
