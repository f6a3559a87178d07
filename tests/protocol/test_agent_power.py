"""Ending the machine, tried on a machine of its own: a process namespace."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.commands.systemctl import verb_arguments

ROOT = Path(__file__).parents[2]

# In a process namespace, reboot(2) ends the namespace's first process (reboot(2), "Behavior
# inside PID namespaces"): by SIGHUP for a restart, by SIGINT for power off. The script
# refuses to go on in any other place.
SCRIPT = """
import os
assert os.getpid() == 1, "not in a namespace of its own"
from agent.power import KernelPower
KernelPower().{method}()
"""


@pytest.mark.needs_root
@pytest.mark.parametrize(
    ("method", "signal_number"), [("reboot", signal.SIGHUP), ("poweroff", signal.SIGINT)]
)
def test_the_kernel_is_asked_for_the_right_end(method: str, signal_number: int) -> None:
    done = subprocess.run(
        ["unshare", "--pid", "--fork", sys.executable, "-c", SCRIPT.format(method=method)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == -signal_number, done.stderr


def test_an_installed_system_is_ended_by_systemd() -> None:
    assert verb_arguments("reboot") == [
        "systemctl",
        "--no-wall",
        "--check-inhibitors=no",
        "reboot",
    ]
