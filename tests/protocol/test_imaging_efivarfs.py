"""Variables with the attribute that efivarfs gives to many: an ext4 has the same attributes."""

import os
from pathlib import Path

import pytest

from agent.imaging.efivarfs import EfiVariables
from tests.protocol.imaging_disks import MIB, blank, loop, run

pytestmark = pytest.mark.needs_root


def test_an_immutable_variable_is_written_and_removed(tmp_path: Path) -> None:
    disk, folder = blank(tmp_path / "disk", 8 * MIB), tmp_path / "efivars"
    run("mkfs.ext4", "-q", "-F", disk)
    folder.mkdir()
    with loop(disk) as node:
        run("mount", "-t", "ext4", node, folder)
        try:
            variables = EfiVariables(folder)
            variables.write("BootOrder", b"\1\0")
            variables.write("Boot0001", b"entry")
            names = sorted(folder.glob("Boot*"))
            run("chattr", "+i", *names)
            with pytest.raises(PermissionError):
                os.open(names[0], os.O_WRONLY)
            variables.write("BootOrder", b"\2\0")
            variables.remove("Boot0001")
            assert variables.numbers("BootOrder") == (2,)
            assert variables.entries() == {}
        finally:
            run("umount", folder)
