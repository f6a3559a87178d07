"""How the tests are run: what cannot run has failed, and what failed can be looked into."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EMPTY = "def test_it(): pass\n"
PASSED, FAILED, REFUSED = 0, 1, 4


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with this one's test rules and programs that exist everywhere."""
    for name in ("tests/conftest.py", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci/debian-packages").write_text("coreutils ls /bin/sh # there\n\n# nothing\n")
    return tmp_path


def run(project: Path, folder: str, test: str) -> tuple[int, str]:
    """Run one test file in the project; return pytest's status and output."""
    path = project / "tests" / folder / "test_it.py"
    path.parent.mkdir(parents=True)
    path.write_text(f"import pytest\n\n{test}")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", path],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_missing_program_stops_all_but_unit_tests(project: Path) -> None:
    (project / ".ci/debian-packages").write_text("qemu-nine  qemu-9 ls /no/rom # machines\n")
    assert run(project, "unit", EMPTY)[0] == PASSED
    status, output = run(project, "lab", EMPTY)
    assert status == REFUSED
    assert (
        "these tests need qemu-9 (package qemu-nine), /no/rom (package qemu-nine)."
        " Run as root: make packages"
    ) in output


def test_with_all_programs_they_run(project: Path) -> None:
    assert run(project, "protocol", EMPTY)[0] == PASSED


@pytest.mark.parametrize("marker", ["needs_root", "lab"])
def test_without_root_what_needs_it_fails(project: Path, marker: str) -> None:
    test = f"import os\n\nos.geteuid = lambda: 1000\n\n@pytest.mark.{marker}\n{EMPTY}"
    status, output = run(project, "protocol", test)
    assert status == FAILED
    assert "only root can run this test: sudo make test" in output


def test_with_root_it_runs(project: Path) -> None:
    test = f"import os\n\nos.geteuid = lambda: 0\n\n@pytest.mark.needs_root\n{EMPTY}"
    assert run(project, "protocol", test)[0] == PASSED


@pytest.mark.parametrize(
    "test",
    [
        "def test_it(): pytest.skip('no luck')\n",
        f"@pytest.mark.skip(reason='no luck')\n{EMPTY}",
        f"pytest.skip('no luck', allow_module_level=True)\n{EMPTY}",
    ],
    ids=["inside", "marked", "whole file"],
)
def test_a_skipped_test_has_failed(project: Path, test: str) -> None:
    _, output = run(project, "protocol", test)
    assert re.search(r"= 1 (failed|error) in", output)
    assert "skipped, but a test that cannot run has failed" in output
    assert "no luck" in output


def test_a_unit_test_may_be_skipped(project: Path) -> None:
    status, output = run(project, "unit", "def test_it(): pytest.skip('not here')\n")
    assert status == PASSED
    assert "= 1 skipped in" in output


def test_a_failed_test_shows_and_keeps_its_consoles(project: Path) -> None:
    status, output = run(
        project,
        "lab",
        "def test_it(keep_consoles):\n"
        "    (keep_consoles / 'n1.log').write_text(''.join(f'line {n}.\\n' for n in range(99)))\n"
        "    assert False\n",
    )
    kept = project / "build/consoles/tests-lab-test_it.py-test_it"
    assert status == FAILED
    assert f"kept in {kept}" in output
    assert "line 59." in output
    assert "line 58." not in output
    assert (kept / "n1.log").read_text().startswith("line 0.")


def test_a_passed_test_keeps_nothing(project: Path) -> None:
    test = "def test_it(keep_consoles): (keep_consoles / 'n1.log').write_text('')\n"
    assert run(project, "lab", test)[0] == PASSED
    assert not (project / "build").exists()


def test_a_unit_test_that_hangs_is_ended(project: Path) -> None:
    conftest = project / "tests/conftest.py"
    conftest.write_text(conftest.read_text().replace("UNIT_SECONDS = 60", "UNIT_SECONDS = 0.1"))
    status, output = run(project, "unit", "import time\n\ndef test_it(): time.sleep(30)\n")
    assert status == FAILED
    assert "Timeout (>0.1s)" in output
