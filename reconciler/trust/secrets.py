"""Secrets that documents refer to, found only when they are used.

``!secret packages/mirror`` is looked for, in this order, as a credential of systemd
(``packages.mirror`` in ``$CREDENTIALS_DIRECTORY``, systemd.exec(5)), as a file
``packages/mirror`` in each of some folders, and in the environment variable whose name is
``RACKWRIGHT_SECRET_`` and ``PACKAGES_MIRROR``. The first that exists counts. A value goes to
what uses it and nowhere else: not into plans, logs, the database or the arguments of a program.
"""

import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.errors import SecretError
from specs.types.secret import SecretReference

FOLDER = "secrets"
"""Where in the state directory secrets are."""
MOST_BYTES = 64 << 10

_VARIABLE = "RACKWRIGHT_SECRET_"
_CREDENTIALS = "CREDENTIALS_DIRECTORY"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class SecretValue:
    """A secret's value. What prints it prints only where it came from."""

    place: str
    value: str = field(repr=False)

    def __str__(self) -> str:
        return f"the secret in {self.place}"


class Secrets:
    """Where secrets are looked for. ``folders`` are asked in their order."""

    def __init__(
        self, folders: Sequence[Path], environment: Mapping[str, str] = os.environ
    ) -> None:
        self._folders = tuple(folders)
        self._environment = environment

    def resolve(self, name: str) -> SecretValue:
        """Return the value of a reference; one line break at its end is not part of it.

        Raises SecretError RW986 where it is nowhere, RW987 where it is not for us alone.
        """
        if not SecretReference.is_name(name):
            raise SecretError(
                "RW987", f"{name[:80]!r} cannot name a secret", "Correct the reference"
            )
        looked_at = []
        for place, find in self._places(name):
            found = find()
            if found is not None:
                return SecretValue(place, _text(found, place))
            looked_at.append(place)
        raise SecretError(
            "RW986",
            f"the secret {name} is in none of: {', '.join(looked_at)}",
            "Put it into one of these, for the server's user alone (chmod 0600)",
        )

    def _places(self, name: str) -> list[tuple[str, Callable[[], bytes | None]]]:
        places: list[tuple[str, Callable[[], bytes | None]]] = []
        credentials = self._environment.get(_CREDENTIALS, "")
        if credentials:
            credential = Path(credentials) / name.replace("/", ".")
            places.append((f"systemd's credential {credential.name}", lambda: _read(credential)))
        for folder in self._folders:
            path = folder / name
            places.append((str(path), lambda path=path: read_private(path)))  # type: ignore[misc]
        variable = _VARIABLE + re.sub(r"[^A-Z0-9]", "_", name.upper())
        places.append((f"the environment's {variable}", lambda: self._variable(variable)))
        return places

    def _variable(self, name: str) -> bytes | None:
        value = self._environment.get(name)
        return None if value is None else os.fsencode(value)


def read_private(path: Path) -> bytes | None:
    """Return the content of a file that is for us alone; None where there is none.

    SecretError RW987 where it belongs to another user than us and root, or where its group or
    others may read or exchange it: it is asked of the open file, and of its folder.
    """
    _require_private_folder(path.parent)
    return _read(path, private=True)


def _read(path: Path, *, private: bool = False) -> bytes | None:
    try:
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(path, error) from error
    with file:
        try:
            status = os.fstat(file.fileno())
            if private:
                _require_ours(path, status, wanted=0o600)
            if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
                raise SecretError(
                    "RW987",
                    f"{path} is no file of at most {MOST_BYTES:,} bytes",
                    "Put the secret alone into the file",
                )
            return file.read(MOST_BYTES)
        except OSError as error:
            raise _unreadable(path, error) from error


def _require_private_folder(folder: Path) -> None:
    """Refuse a folder in which others may exchange files."""
    try:
        status = folder.stat()
    except OSError:
        return  # the file is not there then either, or cannot be read
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX:
        _require_ours(folder, status, wanted=0o700)


def _require_ours(path: Path, status: os.stat_result, wanted: int) -> None:
    if status.st_uid not in {os.geteuid(), 0}:
        raise SecretError(
            "RW987",
            f"{path} belongs to the user {status.st_uid}, who may change it",
            "Give it to the server's own user, or to root",
        )
    if status.st_mode & _OTHERS:
        raise SecretError(
            "RW987",
            f"{path} has mode {stat.S_IMODE(status.st_mode):04o}, so that other users may reach it",
            f"Find out who could have read it, then run: chmod {wanted:04o} {path}",
        )


def _text(data: bytes, place: str) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    text = text.removesuffix("\n").removesuffix("\r")
    if not text or "\0" in text:
        raise SecretError(
            "RW987", f"{place} has no text in UTF-8", "Put the secret alone into it, as text"
        )
    return text


def _unreadable(path: Path, error: OSError) -> SecretError:
    return SecretError(
        "RW987",
        f"{path} cannot be read: {error.strerror}",
        "Give the server's own user the right to read it",
    )
