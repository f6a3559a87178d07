"""What people write on the command line instead of in a document, as scenarios of one step."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from providers.content.store import ContentStore
from reconciler.app.machine_selection import machines_meant
from reconciler.errors import ReconcilerError
from reconciler.state.operation import BY_HAND
from specs.compile.scenarios import inline_scenario, inline_steps
from specs.fleet import (
    CompiledFleet,
    CompiledScenario,
    ListFolderStep,
    PutFileStep,
    ReadFileStep,
    ShowMessageStep,
    SystemStep,
)
from specs.types.invalid_value import InvalidValue
from specs.types.quantities import ByteSize

EXEC, MESSAGE = f"{BY_HAND}exec", f"{BY_HAND}message"
LIST, GET, PUT, REMOVE = (f"{BY_HAND}file-{each}" for each in ("ls", "get", "put", "rm"))
"""The names of the scenarios; no document's can be one of them."""
MOST_CONTENT = 100 << 20
"""Bytes of a file that is read where nobody says more or less."""
MOST_MESSAGE = 500
"""Characters of a message: agents show no more."""
_SPARE_SECONDS = 600
"""For all around a command: the work may take that much longer than the command itself."""
_FILE_SECONDS = 3600
_MESSAGE_SECONDS = 300
_PLACE = "an absolute path without .., for example /etc/motd"


def command(argv: tuple[str, ...], timeout: str, *, in_session: bool) -> CompiledScenario:
    """Return a command as a scenario; ReconcilerError RW249 for what no step `run` takes."""
    session = "user" if in_session else "service"
    step = {"run": {"command": argv, "timeout": timeout, "session": session}}
    (run,) = _steps(step)
    return inline_scenario(EXEC, (run,), run.timeout_seconds + _SPARE_SECONDS)  # type: ignore[union-attr] # a step ``run``


def removal(paths: tuple[str, ...]) -> CompiledScenario:
    """Return the removal of files as a scenario; RW249 for what no step `files` takes."""
    for path in paths:
        _require_place(path)
    return inline_scenario(REMOVE, _steps({"files": {"remove": paths}}), _FILE_SECONDS)


def listing(path: str) -> CompiledScenario:
    """Return the listing of a folder or file as a scenario; RW249 for no place on a machine."""
    return inline_scenario(LIST, (ListFolderStep(_require_place(path)),), _FILE_SECONDS)


def reading(path: str, *, follow: bool, most: int) -> CompiledScenario:
    """Return the reading of a file as a scenario; RW249 for no place on a machine."""
    return inline_scenario(GET, (ReadFileStep(_require_place(path), follow, most),), _FILE_SECONDS)


def placing(target: str, sha256: str, size: int, terms: Mapping[str, str]) -> CompiledScenario:
    """Return the bringing of a file as a scenario.

    ``terms`` are ``owner``, ``group`` and ``mode``, as in a step `files`; RW249 for wrong ones.
    """
    _require_place(target)
    given = {name: value for name, value in terms.items() if value}
    (files,) = _steps({"files": {"copy": ({"source": "file", "target": target, **given},)}})
    (copied,) = files.copy  # type: ignore[union-attr] # a step ``files``
    step = PutFileStep(target, sha256, size, copied.owner, copied.group, copied.mode)
    return inline_scenario(PUT, (step,), _FILE_SECONDS)


def stored(store: ContentStore, local: Path) -> tuple[str, int]:
    """Put a file of the person into the content store; return its SHA-256 and size.

    RW249 where it cannot be read or is too large, and what the store raises.
    """
    try:
        with local.open("rb") as opened:
            data = opened.read(MOST_CONTENT + 1)
    except OSError as error:
        raise _not_valid(
            f"LOCAL: {local} cannot be read: {error.strerror}", "Name a file that you may read"
        ) from error
    if len(data) > MOST_CONTENT:
        raise _not_valid(
            f"LOCAL: {local} has more than {MOST_CONTENT:,} bytes",
            "Bring it by a package, or put it where machines can fetch it",
        )
    sha256 = store.put(data)
    os.utime(store.path(sha256))  # one that was there already may be about to be swept
    return sha256, len(data)


def message(text: str) -> CompiledScenario:
    """Return a message to people as a scenario; RW249 for one that is empty or too long."""
    if not text.strip() or not text.isprintable() or len(text) > MOST_MESSAGE:
        raise _not_valid(
            "TEXT: a message is one line of printable characters, not empty and not longer than "
            f"{MOST_MESSAGE}",
            "Write one short line in quotes: 'The network is down at 18:00'",
        )
    return inline_scenario(MESSAGE, (ShowMessageStep(text),), _MESSAGE_SECONDS)


def size_of(text: str) -> int:
    """Return a size that is written with its unit, in bytes; RW249 for what is none."""
    try:
        return ByteSize.parse(text).bytes
    except InvalidValue as error:
        raise _not_valid(f"--max-size: {error}", _sentence(error.hint)) from error


def require_one(fleet: CompiledFleet, name: str) -> None:
    """Refuse a name that means several machines (RW249), or none (RW943)."""
    meant = machines_meant(fleet, (name,))
    if len(meant) > 1:
        raise _not_valid(
            f"MACHINE: {name} means {len(meant):,} machines, and one is looked at",
            f"Name one, for example {meant[0].name}",
        )


def _require_place(path: str) -> str:
    if not path.startswith("/"):
        raise _not_valid(f"{path!r} is not an absolute path", f"Write {_PLACE}")
    _steps({"files": {"remove": (path,)}})
    return path


def _steps(step: Mapping[str, object]) -> tuple[SystemStep, ...]:
    try:
        compiled = inline_steps([step])
    except ValidationError as error:
        first = error.errors()[0]
        field = next((str(part) for part in reversed(first["loc"]) if isinstance(part, str)), "")
        hint = str(first.get("ctx", {}).get("hint", ""))
        raise _not_valid(f"{field}: {first['msg']}", _sentence(hint)) from error
    return tuple(each for each in compiled if isinstance(each, SystemStep))


def _sentence(hint: str) -> str:
    """Return a document's hint for a person at the command line."""
    if re.match(r"(write|use|name|add|remove) ", hint):
        return hint[0].upper() + hint[1:]
    return f"Write {hint}" if hint else "See the command's --help for what it takes"


def _not_valid(cause: str, action: str) -> ReconcilerError:
    return ReconcilerError("RW249", cause, action)
