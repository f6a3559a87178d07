"""This computer's Debian, booted by its real systemd in namespaces: a system to log in to.

Its files are those of the computer below a layer in memory, so that nothing of it is changed; it
runs no unit that an administrator added. ``systemctl poweroff`` there ends it and nothing else
(reboot(2), "Behavior inside PID namespaces").
"""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from time import monotonic

ROOT = Path(__file__).parents[2]
SECONDS = 40.0
_BOOT = """\
set -eu
layer=$1; sources=$2
mount -t tmpfs layer "$layer"
mkdir "$layer/upper" "$layer/work" "$layer/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" "$layer/root"
root=$layer/root
for place in run tmp dev etc/systemd/system; do mount -t tmpfs tmpfs "$root/$place"; done
for place in "$sources" "$VENV" "$PYTHON"; do
  mkdir -p "$root$place"; mount --rbind "$place" "$root$place"
  above=$(dirname "$place")
  while [ "$above" != / ]; do chmod a+x "$root$above"; above=$(dirname "$above"); done
done
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for unit in systemd-sysctl systemd-modules-load; do  # the kernel is not the system's own
  ln -s /dev/null "$root/etc/systemd/system/$unit.service"
done
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
  chroot "$root" /lib/systemd/systemd --unit=multi-user.target --show-status=0 --log-target=null
"""
_NAMESPACES = ("--pid", "--mount", "--cgroup", "--ipc", "--uts", "--net")


class BootedSystem:
    """A running system."""

    def __init__(self, process: "subprocess.Popen[bytes]", first: int) -> None:
        self._process = process
        self._first = first
        self._started: list[subprocess.Popen[bytes]] = []

    def command(self, *argv: str) -> list[str]:
        """Return the command that runs another one in the system, as root."""
        places = ["--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--root", "--wd"]
        path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
        return ["nsenter", f"--target={self._first}", *places, "--", "env", "-i", path, *argv]

    def run(self, *argv: str, expect: int = 0) -> str:
        """Run a command in it to its end; return what it printed to both streams."""
        done = subprocess.run(
            self.command(*argv),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.returncode == expect, f"{argv} ended with {done.returncode}: {done.stdout}"
        return done.stdout

    def start(self, *argv: str, **options: object) -> "subprocess.Popen[bytes]":
        """Start a command in it; it ends with the system."""
        process: subprocess.Popen[bytes] = subprocess.Popen(self.command(*argv), **options)  # type: ignore[call-overload]
        self._started.append(process)
        return process

    def end_commands(self) -> None:
        """End the commands that still run."""
        for process in self._started:
            process.kill()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(BrokenPipeError):
                        stream.close()
            process.wait(10)

    def python(self, program: str, *arguments: str) -> list[str]:
        """Return the command, for ``start`` or ``run``, of a program that imports the agent."""
        text = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{textwrap.dedent(program)}"
        return [sys.executable, "-c", text, *arguments]

    def until(self, condition, seconds: float = SECONDS) -> None:  # type: ignore[no-untyped-def]
        """Return once the condition holds."""
        end = monotonic() + seconds
        pause = Event()
        while not condition():
            assert monotonic() < end, "it did not happen in time"
            pause.wait(0.05)

    def has_ended(self) -> bool:
        """Return whether the system has shut down.

        It stops all processes before it ends them. nsenter(1) then stops itself, too, and would
        not take leave of its child, for which the system waits.
        """
        for process in self._started:
            process.send_signal(signal.SIGCONT)
        return self._process.poll() is not None


@contextmanager
def booted_system(layer: Path) -> Iterator[BootedSystem]:
    """Boot, wait until people may log in, and end the system afterwards."""
    layer.mkdir()
    process = subprocess.Popen(
        ["unshare", *_NAMESPACES, "--fork", "sh", "-c", _BOOT, "boot", str(layer), str(ROOT)],
        env={
            **os.environ,
            "VENV": str(Path(sys.prefix).resolve()),
            "PYTHON": str(Path(sys.base_prefix).resolve() / "lib"),
        },
        start_new_session=True,
    )
    first = 0
    system = BootedSystem(process, 0)
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        system.until(lambda: bool(_first_of(children)))
        first = int(_first_of(children))
        system = BootedSystem(process, first)
        system.until(lambda: _is_up(system))
        yield system
    finally:
        if first and process.poll() is None:
            os.kill(first, signal.SIGKILL)
        system.end_commands()
        process.kill()
        process.wait(30)


def _first_of(children: Path) -> str:
    try:
        return next(iter(children.read_text("ascii").split()), "")
    except OSError:
        return ""


def _is_up(system: BootedSystem) -> bool:
    argv: Sequence[str] = system.command("systemctl", "is-active", "systemd-logind.service")
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip() == "active"
