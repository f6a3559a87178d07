"""Bringing a rack up."""

import os
import subprocess
import sys
from pathlib import Path

from agent.errors import TerminalError
from agent.whole_file import write_atomically
from providers.lab import control
from providers.lab.client import RackClient
from providers.lab.directory import LabDirectory
from providers.lab.disks import Progress, discard_disks, prepare_disks
from providers.lab.errors import program_missing, supervisor_failed
from providers.lab.firmware import flash_images
from providers.lab.qemu import require_qemu
from providers.lab.rack import Rack
from providers.lab.rack_file import dump_rack

_SOURCES = Path(__file__).parents[2]


def rack_up(
    rack: Rack, directory: Path, cache: Path, progress: Progress, *, fresh: bool = False
) -> RackClient:
    """Bring a rack up in ``directory``, all machines off, and return a client for it.

    Disks that are missing are made first, with ``fresh`` all of them; ``cache`` keeps what
    takes long. A rack that died in the directory is replaced. RW801 to
    RW803, RW806, RW808 to RW811.
    """
    if os.geteuid() != 0:
        raise TerminalError(
            "RW803",
            "the virtual rack needs root to make a network namespace, "
            f"but runs as user id {os.geteuid()}",
            "Run the command with sudo",
        )
    require_qemu()
    for machine in rack.machines:
        flash_images(machine.firmware)
    place = LabDirectory.at(directory)
    place.create()
    lock = place.try_lock()
    if lock is None:
        raise TerminalError(
            "RW806",
            f"a rack is already up in {place.path}",
            "Take it down first (rackwright lab down), or give another directory with --dir",
        )
    try:
        if fresh:
            discard_disks(rack, place)
        prepare_disks(rack, place, cache, progress)
        write_atomically(place.rack_file, dump_rack(rack))
        progress("starting the rack")
        _start_supervisor(place, lock)
    finally:
        os.close(lock)  # the supervisor has its own by now
    return RackClient(place.path)


def _start_supervisor(place: LabDirectory, lock: int) -> None:
    """Start the supervisor in a session and a network namespace of its own; wait until it is up."""
    ready, told = os.pipe()
    argv = [
        *("unshare", "--net", "--", sys.executable, "-m", "providers.lab.supervisor"),
        *(str(place.path), "--lock", str(lock), "--ready", str(told)),
    ]
    with os.fdopen(ready, "rb") as answers:
        try:
            with place.supervisor_log.open("wb") as log:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env={**os.environ, "PYTHONPATH": _python_path()},
                    pass_fds=(lock, told),
                    start_new_session=True,
                )
        except FileNotFoundError as error:
            raise program_missing("unshare", "util-linux") from error
        finally:
            os.close(told)
        line = answers.readline()
    if not line:
        process.wait()
        raise supervisor_failed(place.supervisor_log, place.supervisor_log.read_text("utf-8"))
    try:
        control.decode_answer(line)
    except TerminalError:
        process.wait()
        raise
    process.returncode = 0  # it lives on without us: no warning about a child left behind


def _python_path() -> str:
    """Return where the supervisor finds this package from any working directory."""
    inherited = os.environ.get("PYTHONPATH")
    return f"{_SOURCES}{os.pathsep}{inherited}" if inherited else str(_SOURCES)
