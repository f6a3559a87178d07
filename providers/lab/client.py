"""Talking to a rack that is up."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from providers.lab import control
from providers.lab.directory import LabDirectory, peer_process
from providers.lab.errors import machine_unknown, not_up
from providers.lab.namespace import enter_argv
from providers.lab.status import RackStatus

_ANSWER_SECONDS = 120.0


class RackClient:
    """The rack in a directory. Every method but ``down`` raises RW807 when it is not up."""

    def __init__(self, directory: Path) -> None:
        self._directory = LabDirectory.at(directory)

    @property
    def directory(self) -> Path:
        """Return the lab directory, absolute."""
        return self._directory.path

    @property
    def ssh_key(self) -> Path:
        """Return the private key that logs in to prepared disks as root."""
        return self._directory.ssh_key

    def status(self) -> RackStatus:
        """Return the state of the rack and of all machines."""
        return RackStatus.from_json(self._ask(control.Request("status")))

    def power_on(self, machine: str) -> None:
        """Start a machine; nothing happens when it runs. RW805, RW813."""
        self._ask(control.Request("power-on", machine))

    def power_off(self, machine: str) -> None:
        """Cut a machine's power; nothing happens when it is off. RW805."""
        self._ask(control.Request("power-off", machine))

    def reset(self, machine: str) -> None:
        """Press a machine's reset. RW805; RW813 when it is off."""
        self._ask(control.Request("reset", machine))

    def screenshot(self, machine: str, file: Path) -> None:
        """Write what a machine's screen shows to a PNG file. RW805; RW813 when it is off."""
        self._ask(control.Request("screenshot", machine, str(file.absolute())))

    def console_path(self, machine: str) -> Path:
        """Return the file with a machine's console output since it was powered on. RW805."""
        names = [status.name for status in self.status().machines]
        if machine not in names:
            raise machine_unknown(machine, names)
        return self._directory.machine(machine).console

    def exec_argv(self, command: Sequence[str]) -> list[str]:
        """Return the command line that runs ``command`` inside the rack's network.

        It needs root, and the environment variable RACKWRIGHT_LAB for programs that
        look for the rack.
        """
        try:
            with self._directory.connect(_ANSWER_SECONDS) as connection:
                return enter_argv(peer_process(connection), command)
        except OSError as error:
            raise not_up(self._directory.path) from error

    def down(self) -> bool:
        """Stop all machines and the supervisor; return when they are gone.

        Disks and consoles stay. Return whether the rack was up; when it had died, what
        it left is tidied up.
        """
        if not self._directory.lock_file.exists():
            return False
        lock = self._directory.try_lock()
        if lock is not None:
            self._directory.control_socket.unlink(missing_ok=True)
            os.close(lock)
            return False
        self._ask(control.Request("down"))
        self._directory.wait_unlocked()
        return True

    def _ask(self, request: control.Request) -> Any:  # noqa: ANN401 - JSON
        try:
            with (
                self._directory.connect(_ANSWER_SECONDS) as connection,
                connection.makefile("rb") as answers,
            ):
                connection.sendall(control.encode_request(request))
                line = answers.readline()
        except OSError as error:
            raise not_up(self._directory.path) from error
        if not line:
            raise not_up(self._directory.path)
        return control.decode_answer(line)
