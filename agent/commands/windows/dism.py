"""dism.exe: components and updates of the running Windows.

Source: Microsoft, "DISM Operating System Package Servicing Command-Line Options". Its words
are asked for in English, the one program here that can be.
"""

import re
from collections.abc import Iterator

from agent.commands.windows.host import Windows, console_text

_SECONDS = 1800.0
_IDENTITY = re.compile(r"\b(Package_for_\S{1,200}~~[0-9.]+)")
_ARTICLE = re.compile(r"Package_for_(KB[0-9]{6,8})")


def packages_arguments() -> list[str]:
    """Return the command that prints the packages of the running Windows."""
    return ["dism.exe", "/online", "/english", "/get-packages", "/format:table"]


def add_arguments(file: str) -> list[str]:
    """Return the command that adds a ``.cab`` or ``.msu`` to the running Windows."""
    return ["dism.exe", "/online", "/add-package", f"/packagepath:{file}", "/quiet", "/norestart"]


def installed_packages(text: str) -> Iterator[str]:
    """Yield the identities of the rows whose state is Installed."""
    for line in text.splitlines():
        columns = [column.strip() for column in line.split("|")]
        found = _IDENTITY.fullmatch(columns[0])
        if found and columns[1:2] == ["Installed"]:
            yield found.group(1)


def article(identity: str) -> str:
    """Return ``KB…`` of a package identity; empty where it names none, as cumulative ones do."""
    found = _ARTICLE.match(identity)
    return found.group(1) if found else ""


def packages(windows: Windows) -> tuple[str, ...]:
    """Return the identities of installed packages; none where dism refuses."""
    done = windows.run(packages_arguments(), timeout=_SECONDS)
    return tuple(installed_packages(console_text(done.stdout))) if done.status == 0 else ()
