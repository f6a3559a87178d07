"""Where the files of a rack lie."""

import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT_VARIABLE = "RACKWRIGHT_LAB"
"""Names the lab directory; set for every command that runs inside a rack."""

_PRIVATE = 0o700
_CREDENTIALS = "3i"  # struct ucred


@dataclass(frozen=True, slots=True)
class DiskFiles:
    """The files of one disk."""

    content: Path
    """The raw image."""
    recipe: Path
    """The settings that it was made with."""


@dataclass(frozen=True, slots=True)
class MachineFiles:
    """The files of one machine."""

    folder: Path

    @property
    def disk(self) -> Path:
        """Return the raw image of the disk that it boots from."""
        return self.disks(1)[0].content

    def disks(self, count: int) -> tuple[DiskFiles, ...]:
        """Return the files of the first ``count`` disks."""
        names = ("disk", *(f"disk-{number}" for number in range(2, count + 1)))
        return tuple(
            DiskFiles(self.folder / f"{name}.raw", self.folder / f"{name}.json") for name in names
        )

    @property
    def variables(self) -> Path:
        """Return the UEFI variables, which outlive a power cycle as on a board."""
        return self.folder / "variables.fd"

    @property
    def console(self) -> Path:
        """Return what the serial console showed since the machine was last powered on."""
        return self.folder / "console.log"

    @property
    def previous_console(self) -> Path:
        """Return what it showed the time before."""
        return self.folder / "console.previous.log"

    @property
    def qemu_log(self) -> Path:
        """Return what QEMU said since the machine was last powered on."""
        return self.folder / "qemu.log"


@dataclass(frozen=True, slots=True)
class LabDirectory:
    """A rack's directory, absolute and for its owner alone."""

    path: Path

    @classmethod
    def at(cls, path: Path) -> "LabDirectory":
        """Return the directory, existing or not."""
        return cls(path.absolute())

    def create(self) -> None:
        """Make the directory, or close it to others where it exists."""
        self.path.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        self.path.chmod(_PRIVATE)

    @property
    def rack_file(self) -> Path:
        """Return the copy of the rack that is up, so that edits take effect with the next."""
        return self.path / "rack.json"

    @property
    def control_socket(self) -> Path:
        """Return the supervisor's socket."""
        return self.path / "control.sock"

    @property
    def lock_file(self) -> Path:
        """Return the file that the supervisor holds locked while it lives."""
        return self.path / "lock"

    @property
    def supervisor_log(self) -> Path:
        """Return what the supervisor did, and its last words."""
        return self.path / "supervisor.log"

    @property
    def ssh_key(self) -> Path:
        """Return the private key that may log in to prepared disks as root."""
        return self.path / "ssh_key"

    def machine(self, name: str) -> MachineFiles:
        """Return the files of a machine."""
        return MachineFiles(self.path / "machines" / name)

    def try_lock(self) -> int | None:
        """Lock the directory; return the descriptor that holds it, or None when it is held.

        The kernel gives the lock back when the last process with the descriptor ends,
        however it ends: a lock that can be had means that no supervisor lives.
        """
        descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def wait_unlocked(self) -> None:
        """Return when no supervisor lives any more."""
        with self.lock_file.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)

    @contextmanager
    def socket_address(self) -> Iterator[str]:
        """Yield a name of the control socket that fits into ``sun_path``.

        A socket's path has 108 bytes (unix(7)), and test directories are longer: it is
        named through a descriptor of its directory.
        """
        folder = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{folder}/{self.control_socket.name}"
        finally:
            os.close(folder)

    def listen(self) -> socket.socket:
        """Return the listening control socket, in the place of one that a dead rack left."""
        self.control_socket.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with self.socket_address() as address:
            listener.bind(address)
        listener.listen()
        return listener

    def connect(self, timeout: float) -> socket.socket:
        """Return a connection to the supervisor; OSError when none answers."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        try:
            with self.socket_address() as address:
                connection.connect(address)
        except OSError:
            connection.close()
            raise
        return connection


def peer_process(connection: socket.socket) -> int:
    """Return the process at the other end of a unix socket: who connected, or who listens."""
    credentials = connection.getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(_CREDENTIALS)
    )
    process: int = struct.unpack(_CREDENTIALS, credentials)[0]
    return process
