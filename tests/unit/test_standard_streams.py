"""Commands end as they should in any terminal's encoding, and with closed streams."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLEET = """\
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {name: n}
spec: {subnet: 10.0.0.0/24}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {name: a, displayName: 東京}
spec: {network: n}
---
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {name: node-07, displayName: 計算 👩 é ノード}
spec: {group: a, hardware: {macs: ["02:00:00:00:00:01"]}}
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet" / "f.yaml").write_text(FLEET, "utf-8")
    return tmp_path


def run(
    fleet: Path, command: str, redirections: str = "", encoding: str = "utf-8"
) -> tuple[int, bytes]:
    """Return the exit code, and all that was printed."""
    line = (
        f"exec {sys.executable} -m reconciler.cli {command} --repo fleet --state state "
        f"{redirections}"
    )
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=fleet,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("encoding", ["euc_jp", "shift_jis", "latin-1", "ascii"])
@pytest.mark.parametrize(
    ("command", "status"), [("plan", 0), ("status", 1), ("get machine node-07", 0)]
)
def test_what_a_terminal_cannot_show_is_replaced(
    fleet: Path, command: str, status: int, encoding: str
) -> None:
    code, printed = run(fleet, command, encoding=encoding)
    assert code == status, printed
    assert b"RW999" not in printed
    if command != "plan":
        shown = "計算 ? ".encode(encoding, "replace")
        assert shown in printed


def test_data_for_programs_keeps_every_character(fleet: Path) -> None:
    code, printed = run(fleet, "export csv", encoding="ascii")
    assert code == 0
    assert "計算 👩 é ノード" in printed.decode("utf-8")


@pytest.mark.parametrize("redirections", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_changes_nothing(fleet: Path, redirections: str) -> None:
    for command, status in (("plan", 0), ("status", 1), ("validate", 0)):
        code, printed = run(fleet, command, redirections)
        assert code == status, printed
        assert b"RW999" not in printed
