"""A virtual rack under test: the real commands, the real firmware, the real disks."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from builders.lab_site import CACHE, PACKAGES, Site

from providers.lab.rack_file import load_rack
from providers.lab.up import rack_up


@pytest.fixture(scope="session")
def boot_files() -> Path:
    """Return the built Deploy-OS; what an earlier run built is used again."""
    place = CACHE / "deploy-os"
    command = [sys.executable, "-m", "reconciler.cli", "deploy-os", "build"]
    subprocess.run([*command, "--boot-files", str(place), "--cache", str(PACKAGES)], check=True)
    return place


@pytest.fixture(scope="module")
def new_site(
    boot_files: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Callable[[str, str], Site]]:
    """Return a maker of racks with the example's machines on the firmware and table named."""
    sites: list[Site] = []

    def make(firmware: str, table: str) -> Site:
        directory = tmp_path_factory.mktemp(f"{firmware}-{table}")
        rack_file = directory / "rack.yaml"
        example = Path("examples/lab/rack.yaml").read_text("utf-8")
        rack_file.write_text(
            example.replace("firmware: bios", f"firmware: {firmware}").replace(
                "table: gpt", f"table: {table}"
            ),
            "utf-8",
        )
        rack = rack_up(load_rack(rack_file), directory / "rack", CACHE / "golden", lambda *_: None)
        site = Site(directory, rack, boot_files)
        sites.append(site)
        return site

    failed_before = request.session.testsfailed
    yield make
    for site in sites:
        site.rack.down()
        if request.session.testsfailed > failed_before:
            site.keep_consoles(Path("build/consoles") / site.directory.name)
        shutil.rmtree(site.directory, ignore_errors=True)
