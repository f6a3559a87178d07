"""Stand-ins for the files of a Deploy-OS: simulated machines read no more than their beginnings."""

import json
from pathlib import Path

from agent.whole_file import write_atomically
from providers.deploy_os.result import DESCRIPTION
from providers.netboot.firmware import FIRMWARE, KERNEL, RAM_DISK

_SIZE = 4096


def write_simulated_boot_files(folder: Path) -> None:
    """Make a folder that ``serve --boot-files`` takes; nothing else could boot from it."""
    folder.mkdir(parents=True, exist_ok=True)
    chains = (each for row in FIRMWARE.values() for each in (row.chain, row.beside) if each)
    names = {name for chain in chains for name in chain.needs} | {KERNEL, RAM_DISK}
    for name in names:
        write_atomically(folder / name, b"Simulated: no boot file. ".ljust(_SIZE, b"."))
    description = {
        "version": "0" * 64,
        "debian": "simulated",
        "kernel": "simulated",
        "kernel_arguments": [],
        "packages": {},
        "sizes": dict.fromkeys(sorted(names), _SIZE),
        "digests": {},
    }
    write_atomically(folder / DESCRIPTION, json.dumps(description).encode())
