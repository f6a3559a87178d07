"""A rack of simulated machines with a repository, a state directory and a real server."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

from git import Actor, Repo

from providers.lab.simulate.fleet_documents import fleet_documents
from providers.lab.simulate.rack import SimulatedRack
from reconciler.server.state_lock import is_served
from reconciler.state.database import BRIEF, open_database
from reconciler.state.ledger import Ledger
from reconciler.state.operation import OperationStatus

SECONDS = 60.0


class SimulatedSite:
    """Runs the real command line beside the machines."""

    def __init__(self, directory: Path, rack: SimulatedRack, *, clones: int | None) -> None:
        self.rack = rack
        self.state = directory / "state"
        self._started: list[subprocess.Popen[str]] = []
        self._server: subprocess.Popen[bytes] | None = None
        self.fleet = directory / "fleet"
        self.fleet.mkdir()
        for name, text in fleet_documents(rack.settings, clones=clones).items():
            (self.fleet / name).write_text(text, "utf-8")
        self.commit("A simulated fleet")
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(Path.cwd()),
            "RACKWRIGHT_STATE": str(self.state),
            "RACKWRIGHT_REPO": str(self.fleet),
            "RACKWRIGHT_BOOT_FILES": str(rack.boot_files),
        }
        self.command = [sys.executable, "-m", "reconciler.cli"]

    def commit(self, message: str) -> None:
        """Commit what the repository has now; the server follows."""
        author = Actor("Test", "test@example.org")
        with Repo.init(self.fleet, initial_branch="main") as repository:
            repository.git.add(all=True)
            repository.index.commit(message, author=author, committer=author)

    def run(self, *arguments: str, expect: int | None = 0, program: Sequence[str] = ()) -> str:
        """Run a command to its end; return what it printed. ``program`` runs it, if given.

        ``expect`` is its exit status; None for any.
        """
        with self.start(*arguments, program=program) as process:
            said, _ = process.communicate(timeout=2 * SECONDS)
        assert expect in {None, process.returncode}, (
            f"{arguments} ended with {process.returncode}:\n{said}"
        )
        return said

    def start(self, *arguments: str, program: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start a command, which ends with the site at the latest."""
        process = subprocess.Popen(
            [*(program or self.command), *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._started.append(process)
        return process

    def serve(self, log: Path) -> None:
        """Start ``serve``, which writes to the end of a log."""
        with log.open("ab") as output:
            self._server = subprocess.Popen(
                self.rack.inside([*self.command, "serve"]),
                env=self.environment,
                stdout=output,
                stderr=output,
            )

    def end_server(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End ``serve`` by a signal; nothing happens where none runs."""
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(30)
            self._server = None

    def end_commands(self) -> None:
        """End the commands that still run."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def conditions(self) -> dict[str, str]:
        """Return each machine's condition."""
        document = json.loads(self.run("status", "--format", "json"))
        return {machine["machine"]: machine["condition"] for machine in document["machines"]}

    def machine(self, name: str) -> Any:
        """Return all that the server knows of a machine."""
        return json.loads(self.run("get", "machine", name, "--format", "json"))

    def operations(self, kind: str) -> dict[str, OperationStatus]:
        """Return the operations of a kind by machine."""
        database = open_database(self.state / "rackwright.db", BRIEF)
        try:
            found = Ledger(database).operations()
        finally:
            database.close()
        return {each.operation.machine: each for each in found if each.operation.kind == kind}

    def states(self, kind: str) -> dict[str, str]:
        """Return the states of the operations of a kind by machine."""
        return {name: str(each.state) for name, each in self.operations(kind).items()}

    def until(self, condition: Callable[[], bool], seconds: float = SECONDS) -> None:
        """Return once the condition holds."""
        end = monotonic() + seconds
        pause = Event()
        while not condition():
            assert monotonic() < end, f"it did not happen: {self.rack.machines}"
            pause.wait(0.1)


@contextmanager
def simulated_site(
    directory: Path, consoles: Path, count: int, *, clones: int | None = None
) -> Iterator[SimulatedSite]:
    """Start machines with disks of 16 MiB, and ``serve`` beside them; have all looked at.

    The golden machine is captured, too.
    """
    with SimulatedRack(directory / "rack", count, disk_size=16 << 20) as rack:
        site = SimulatedSite(directory, rack, clones=clones)
        (consoles / "machines.log").symlink_to(rack.log)
        site.serve(consoles / "serve.log")
        try:
            site.until(lambda: is_served(site.state))
            site.run("apply", "--yes")
            yield site
        finally:
            site.end_commands()
            site.end_server()
