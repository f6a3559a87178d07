"""Packages that are installed by a command of their own: setup programs and scripts."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from agent.commands.ended import Ended
from agent.commands.supervised import Supervision
from agent.errors import CodedError, TerminalError
from agent.packages.room import TIMES, require_room
from agent.packages.user_session import UserSession, active_user
from agent.wire.package import WantedPackage

_log = logging.getLogger(__name__)
_EXECUTABLE = 0o755


class ProgramAdapter:
    """Runs the package's command, without a shell, in the folder of its files."""

    success = frozenset[int]()
    reboot_needed = frozenset[int]()

    def __init__(self, supervision: Supervision) -> None:
        self._supervision = supervision

    def repair(self) -> None:
        """Do nothing: what such a program has left, only its own next run knows."""

    def check(self, wanted: WantedPackage, files: Mapping[str, Path]) -> None:
        """See that there are a program, room and, where one is needed, a user."""
        if not wanted.command and not files:
            raise TerminalError(
                "RW222", f"{wanted.name} has neither command nor files", "Write its `command`"
            )
        require_room(wanted.name, TIMES * sum(file.size for file in wanted.files), [Path("/")])
        if wanted.session == "user":
            active_user()

    def install(self, wanted: WantedPackage, files: Mapping[str, Path]) -> Ended:
        """Run the command with all that it starts. TransientError RW226 without a user."""
        argv = command_of(wanted, files)
        user: UserSession | None = active_user() if wanted.session == "user" else None
        if argv[0] in {str(path) for path in files.values()}:
            os.chmod(argv[0], _EXECUTABLE)  # noqa: PTH101 - its bytes were compared
        folder = next((path.parent for path in files.values()), None)
        return self._supervision.run(
            argv,
            timeout=wanted.timeout,
            environment=user.environment if user else {"HOME": "/root"},
            cwd=folder,
            user=user.program_user if user else None,
        )

    def failure(self, wanted: WantedPackage, ended: Ended) -> CodedError | None:
        """Return None: such a program's statuses are its own."""
        del wanted, ended
        return None

    def version(self, wanted: WantedPackage) -> str:
        """Return nothing: no list has it."""
        del wanted
        return ""


def command_of(wanted: WantedPackage, files: Mapping[str, Path]) -> list[str]:
    """Return the words of the command; the name of one of the files stands for its path."""
    words = wanted.command or (wanted.files[0].name,)
    return [*(str(files.get(word, word)) for word in words), *wanted.arguments]
