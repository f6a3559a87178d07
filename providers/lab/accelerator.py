"""Hardware virtualisation where it works, emulation elsewhere.

That /dev/kvm opens says little: in nested and restricted hosts it does, and a guest
then runs a thousand times slower than emulated, or hangs. So a guest is asked to count.
"""

import os
import tempfile
from pathlib import Path
from typing import Literal

from agent.commands.runner import run_command
from agent.errors import CommandError, MissingCommandError
from providers.lab.errors import program_missing

Accelerator = Literal["kvm", "tcg"]

_DEVICE = Path("/dev/kvm")
_ROM_SIZE = 64 * 1024
_RESET_VECTOR = 0xFFF0
_ITERATIONS = 1 << 26
_SECONDS = 2.0  # a processor that runs the guest itself counts in 0.1 s, QEMU starts in 0.3 s
_EXIT_PORT = 0xF4
_HALT = b"\xf4"


def counting_rom() -> bytes:
    """Return a firmware image that counts to zero at the reset vector and leaves QEMU.

    16-bit code for ``mov ecx, n; again: dec ecx; jnz again; out 0xf4, al; hlt``.
    """
    code = b"".join(
        (
            b"\x66\xb9" + _ITERATIONS.to_bytes(4, "little"),
            b"\x66\x49",
            b"\x75\xfc",
            bytes((0xE6, _EXIT_PORT)),
            _HALT,
        )
    )
    rom = bytearray(_HALT * _ROM_SIZE)
    rom[_RESET_VECTOR : _RESET_VECTOR + len(code)] = code
    return bytes(rom)


def find_accelerator() -> Accelerator:
    """Return ``kvm`` when a guest runs on it at a processor's speed, else ``tcg``. RW801."""
    return "kvm" if _DEVICE.exists() and counts_in_time("kvm", _SECONDS) else "tcg"


def counts_in_time(accelerator: Accelerator, seconds: float) -> bool:
    """Return whether a guest under ``accelerator`` counts to the end within ``seconds``."""
    with tempfile.NamedTemporaryFile(suffix=".rom") as rom:
        rom.write(counting_rom())
        rom.flush()
        argv = [
            *("setpriv", "--pdeathsig", "KILL", "--", "qemu-system-x86_64"),
            *("-nodefaults", "-no-user-config", "-display", "none"),
            *("-machine", "q35", "-accel", accelerator, "-m", "16", "-bios", rom.name),
            *("-device", f"isa-debug-exit,iobase={_EXIT_PORT:#x},iosize=1"),
        ]
        try:
            done = run_command(argv, accept=range(256), timeout=seconds, environment=os.environ)
        except MissingCommandError as error:
            raise program_missing(error.program, "util-linux") from error
        except CommandError:
            return False  # too slow, or ended by a signal
    # isa-debug-exit ends QEMU with twice what was written plus one; a failed start gives 1
    # too, but with words.
    return done.status % 2 == 1 and not done.stderr
