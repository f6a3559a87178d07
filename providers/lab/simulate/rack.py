"""A rack of simulated machines, from the side of who uses it."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from providers.lab import control
from providers.lab.errors import program_missing, simulated_rack_ended
from providers.lab.simulate import messages
from providers.lab.simulate.boot_files import write_simulated_boot_files
from providers.lab.simulate.faults import Faults
from providers.lab.simulate.machine_list import MachineSettings, machines_of
from providers.lab.simulate.machine_state import MachineState

_SOURCES = Path(__file__).parents[3]
_END_SECONDS = 30.0
DISK_SIZE = 64 << 20


class SimulatedRack:
    """``count`` machines and a golden one, all off, on a bridge with the address of a server.

    All is below ``path``: disks stay there and are used again. Machines switch on by a magic
    packet on the bridge or by ``power_on``. Use it as a context manager, or call ``close``.
    Raises RW801, RW809, and RW816 where the process does not start or has ended.
    """

    def __init__(
        self, path: Path, count: int, *, disk_size: int = DISK_SIZE, seed: int = 1
    ) -> None:
        self.path = path.absolute()
        self.settings: tuple[MachineSettings, ...] = machines_of(count, disk_size)
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_simulated_boot_files(self.boot_files)
        self._process, self._connection = self._start(count, disk_size, seed)
        self._answers = self._connection.makefile("rb")
        try:
            self._answer()
        except BaseException:
            self.close()
            raise

    @property
    def boot_files(self) -> Path:
        """Return a folder for ``serve --boot-files``."""
        return self.path / "boot-files"

    @property
    def process(self) -> int:
        """Return the id of the process that has the machines."""
        return self._process.pid

    @property
    def log(self) -> Path:
        """Return what the machines and their agents said."""
        return self.path / "machines.log"

    @property
    def machines(self) -> Mapping[str, MachineState]:
        """Return what each machine does now, by name."""
        return messages.states_from_json(self._ask(messages.Request("status")))

    def disk(self, name: str) -> Path:
        """Return the file that is a machine's disk now; cutting its power makes it another."""
        disks = (self.path / "machines" / name).glob("disk-*.raw")
        return max(disks, key=lambda path: int(path.stem.partition("-")[2]))

    def power_on(self, name: str) -> None:
        """Switch a machine on; nothing happens when it is on. RW805."""
        self._ask(messages.Request("power-on", name))

    def power_off(self, name: str) -> None:
        """Cut a machine's power, whatever it does; nothing happens when it is off. RW805."""
        self._ask(messages.Request("power-off", name))

    def pull_cable(self, name: str) -> None:
        """Take a machine from the network; nothing happens when it is off. RW805."""
        self._ask(messages.Request("pull-cable", name))

    def plug_cable(self, name: str) -> None:
        """Connect a machine to the network again. RW805."""
        self._ask(messages.Request("plug-cable", name))

    def set_faults(self, name: str, faults: Faults) -> None:
        """Let a machine go wrong, or right, from its next boot or step on. RW805."""
        self._ask(messages.Request("faults", name, faults))

    def press_key(self, name: str, key: str) -> None:
        """Press a key at a machine."""
        self._ask(messages.Request("press-key", name, key=key))

    def inside(self, command: Sequence[str]) -> list[str]:
        """Return the command line that runs ``command`` where the server belongs."""
        process = str(self._process.pid)
        return [
            *("nsenter", "--user", "--net", "--preserve-credentials", "--target", process),
            *("--", *command),
        ]

    def close(self) -> None:
        """Cut the power of all machines and take the rack away; the disks stay."""
        self._answers.close()
        self._connection.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(
        self, count: int, disk_size: int, seed: int
    ) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket.socketpair()
        argv = [
            *("unshare", "--user", "--map-root-user", "--net", "--"),
            *(sys.executable, "-m", "providers.lab.simulate.process", str(self.path)),
            *("--count", str(count), "--disk-size", str(disk_size), "--seed", str(seed)),
            *("--control", str(theirs.fileno())),
        ]
        path = os.pathsep.join(filter(None, [str(_SOURCES), os.environ.get("PYTHONPATH")]))
        try:
            with theirs, self.log.open("ab") as log:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "PYTHONPATH": path},
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,  # Ctrl-C ends the command, which ends the rack
                )
        except FileNotFoundError as error:
            ours.close()
            raise program_missing("unshare", "util-linux") from error
        return process, ours

    def _ask(self, request: messages.Request) -> Any:  # noqa: ANN401 - JSON
        try:
            self._connection.sendall(messages.encode_request(request))
        except OSError as error:
            raise self._ended() from error
        return self._answer()

    def _answer(self) -> Any:  # noqa: ANN401 - JSON
        line = self._answers.readline()
        if not line:
            raise self._ended()
        return control.decode_answer(line)

    def _ended(self) -> Exception:
        return simulated_rack_ended(self.log, self.log.read_text("utf-8", "replace"))
