"""Command lines, and what is read from the commands' output."""

import sys
from pathlib import Path

import pytest

from agent.errors import TerminalError
from providers.deploy_os import command, mmdebstrap, pip
from providers.deploy_os.recipe import find_recipe, load_recipe

MMDEBSTRAP_OUTPUT = """\
I: skipping emulation check for extract variant
I: running apt-get update...
Get:1 http://mirror/debian bookworm InRelease [151 kB]
Get:4 http://mirror/debian bookworm/non-free-firmware amd64 Packages [6368 B]
Fetched 9422 kB in 1s (6635 kB/s)
I: downloading packages with apt...
The following NEW packages will be installed:
  adduser ntfs-3g
0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.
Need to get 16.0 MB of archives.
Get:1 http://mirror/debian bookworm/main amd64 adduser all 3.134 [183 kB]
Get:2 http://security/debian-security bookworm-security/main amd64 ntfs-3g amd64 1:2022 [406 kB]
/usr/bin/dpkg --status-fd 14 --configure --pending
I: extracting archives...
I: success in 5.0117 seconds
"""


def test_mmdebstraps_output_becomes_progress() -> None:
    meter = mmdebstrap.ProgressMeter()

    seen = [
        (meter.text, meter.fraction) for line in MMDEBSTRAP_OUTPUT.splitlines() if meter.read(line)
    ]

    assert seen == [
        ("reading Debian's package lists", None),
        ("downloading package 1 of 2: adduser", 0.5),
        ("downloading package 2 of 2: ntfs-3g", 1.0),
        ("unpacking 2 packages", None),
    ]


def test_packages_come_from_debian_and_are_only_unpacked() -> None:
    recipe = load_recipe(find_recipe())
    line = mmdebstrap.arguments(recipe, Path("/cache/work"))

    assert line[-2:] == ["bookworm", "/cache/work"]
    assert "--variant=extract" in line
    assert "--skip=chroot/mount" in line
    assert any(word.startswith("--include=busybox,") for word in line)


def test_versions_are_read_from_package_file_names() -> None:
    names = [
        "ntfs-3g_1%3a2022.10.3-1+deb12u4_amd64.deb",
        "libgcc-s1_12.2.0-14+deb12u1_amd64.deb",
        "lock",
    ]

    assert mmdebstrap.package_versions(names) == {
        "ntfs-3g": "1:2022.10.3-1+deb12u4",
        "libgcc-s1": "12.2.0-14+deb12u1",
    }


def test_wheels_are_pinned_by_hash_and_chosen_for_debian_12() -> None:
    line = pip.arguments(Path("wanted.txt"), Path("/root/lib"))

    assert line[:3] == [sys.executable, "-m", "pip"]
    assert {"--require-hashes", "--only-binary", "--no-deps"} <= set(line)
    assert line[line.index("--python-version") + 1] == "3.11"


def test_all_missing_tools_are_named_with_one_line_to_install_them() -> None:
    with pytest.raises(TerminalError) as caught:
        command.require({"sh": "dash", "rw-no-such-b": "pkg-b", "rw-no-such-a": "pkg-a"})

    assert str(caught.value) == (
        "RW853: building the Deploy-OS needs rw-no-such-a, rw-no-such-b, not found on this host. "
        "Install: apt install pkg-a pkg-b."
    )


def test_a_failed_command_shows_its_last_lines_and_keeps_the_whole_log(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    program = "import sys; print(*range(20), sep='\\n'); sys.exit('E: no such package')"

    with pytest.raises(command.CommandFailedError) as caught:
        command.run([sys.executable, "-u", "-c", program], log, code="RW855", action="Do this")

    assert (caught.value.code, caught.value.action) == ("RW855", "Do this")
    assert caught.value.cause == (
        f"{sys.executable} ended with status 1; its last lines:\n"
        + "".join(f"    {number}\n" for number in range(9, 20))
        + f"    E: no such package\n    whole log: {log}"
    )
    assert log.read_text().splitlines()[0] == "0"


def test_a_callback_that_fails_ends_the_command(tmp_path: Path) -> None:
    def fail(_: str) -> None:
        raise KeyboardInterrupt

    program = "import time; print('begin', flush=True); time.sleep(60)"
    with pytest.raises(KeyboardInterrupt):
        command.run([sys.executable, "-c", program], tmp_path / "log", fail)
