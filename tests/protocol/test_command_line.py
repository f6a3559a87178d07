"""The installed command line, run as a user runs it."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path("examples/lab/fleet").absolute()
NOBODY = 65534
HOLDER = """
import socket, sys
kind, port = map(int, sys.argv[1:])
held = socket.socket(socket.AF_INET, kind)
held.bind(("0.0.0.0", port))
if kind == socket.SOCK_STREAM:
    held.listen()
print("bound", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def fleet(tmp_path):
    """A repository with the example fleet."""
    repository = tmp_path / "fleet"
    shutil.copytree(EXAMPLE, repository)
    for command in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "--all"],
        ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "x"],
    ):
        subprocess.run(["git", *command], cwd=repository, check=True)
    return repository


def rackwright(*arguments, inside=(), state, fleet, boot_files=Path("/nowhere"), **options):
    return subprocess.run(
        [*inside, sys.executable, "-m", "reconciler.cli", *arguments],
        env={
            **os.environ,
            "RACKWRIGHT_STATE": str(state),
            "RACKWRIGHT_REPO": str(fleet),
            "RACKWRIGHT_BOOT_FILES": str(boot_files),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **options,
    )


def test_the_example_fleet_is_valid_and_plans(tmp_path, fleet):
    done = rackwright("validate", state=tmp_path / "state", fleet=fleet)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("valid: 2 machine(s), 2 scenario(s) in 6 file(s)")
    done = rackwright("plan", state=tmp_path / "state", fleet=fleet)
    assert done.returncode == 3
    assert done.stdout.startswith("DESTRUCTIVE 0 · DISRUPTIVE 1 · SAFE 0 · BLOCKED 0 · UNKNOWN 1\n")


def test_a_repository_with_ten_mistakes_reports_all_ten_and_no_traceback(tmp_path, fleet):
    (fleet / "broken.yaml").write_text(
        """\
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {name: broken-1}
spec:
  group: nowhere
  hardware: {macs: ["52:54:00:77:00:10"], uuid: not-a-uuid}
  identity: {hostname: "-bad-", addresses: [10.99.0.1/24]}
  power: {driver: telekinesis}
  asign: []
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: broken-2}
spec:
  options: {timeout: 10}
  steps:
    - restore: {image: debian12-goldn, disk: {role: system}}
---
apiVersion: rackwright/v1alpha1
kind: Machin
metadata: {name: broken-3}
spec: {}
---
apiVersion: rackwright/v9
kind: Group
metadata: {name: broken/4}
spec: {}
""",
        "utf-8",
    )
    done = rackwright("validate", state=tmp_path / "state", fleet=fleet)
    assert done.returncode == 1
    found = [line.split(" ")[:2] for line in done.stdout.splitlines() if ".yaml:" in line]
    assert found[:10] == [
        ["broken.yaml:5:10:", "RW141"],
        ["broken.yaml:6:49:", "RW128"],
        ["broken.yaml:7:24:", "RW128"],
        ["broken.yaml:8:19:", "RW128"],
        ["broken.yaml:9:3:", "RW124"],
        ["broken.yaml:15:22:", "RW128"],
        ["broken.yaml:17:24:", "RW141"],
        ["broken.yaml:20:7:", "RW122"],
        ["broken.yaml:24:13:", "RW121"],
        ["machines.yaml:11:12:", "RW142"],
    ]
    assert "10 error(s) in 7 file(s)" in done.stdout
    assert 'hint: did you mean "assign"?' in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_an_approved_plan_is_refused_where_nothing_can_serve_and_nothing_is_recorded(
    tmp_path, fleet
):
    state = tmp_path / "state"
    done = rackwright("apply", "--yes", state=state, fleet=fleet)
    assert done.returncode == 1
    assert "error RW859: /nowhere holds no complete Deploy-OS" in done.stderr
    assert rackwright("plan", state=state, fleet=fleet).returncode == 3


def test_more_agreement_than_the_plan_needs_is_refused(tmp_path, fleet, boot_files):
    done = rackwright(
        "apply", "--yes=3", state=tmp_path / "state", fleet=fleet, boot_files=boot_files
    )
    assert done.returncode == 1
    assert "RW905: the plan overwrites 0 disk(s), the agreement is for 3" in done.stderr


def test_a_file_that_is_no_plan_is_refused(tmp_path, fleet):
    other = tmp_path / "plan.json"
    other.write_text("{}", "utf-8")
    done = rackwright("apply", str(other), state=tmp_path / "state", fleet=fleet)
    assert done.returncode == 1
    assert f"error RW906: {other} is no plan" in done.stderr


@pytest.mark.needs_root
def test_serving_without_root_is_refused_by_name(boot_files):
    # A checkout may lie where only root can read: everything is loaded before root is given up.
    program = (
        "import os; from pathlib import Path; import reconciler.errors;"
        "from reconciler.cli.commands import cli; from reconciler.cli.serve import serve;"
        "import reconciler.cli.serving, reconciler.app.project;"
        "import reconciler.server.service; from reconciler.cli.refusal import refusal\n"
        f"os.setuid({NOBODY})\n"
        "try:\n"
        f"    cli(['serve', '--boot-files', '{boot_files}'], standalone_mode=False)\n"
        "except reconciler.errors.ReconcilerError as error:\n"
        "    raise SystemExit(refusal(error))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error RW909: DHCP and TFTP need the ports 67 and 69")


@pytest.mark.needs_root
def test_a_host_outside_the_fleets_networks_is_told_so(tmp_path, fleet, boot_files):
    done = rackwright("serve", state=tmp_path / "state", fleet=fleet, boot_files=boot_files)
    assert done.returncode == 1
    assert (
        "error RW902: no address of this host lies in a network of the fleet: lab (10.77.0.0/24)"
    ) in done.stderr


@pytest.mark.needs_root
@pytest.mark.parametrize(
    ("port", "kind", "text"),
    [
        (67, socket.SOCK_DGRAM, "67/udp"),
        (69, socket.SOCK_DGRAM, "69/udp"),
        (8080, socket.SOCK_STREAM, "8080/tcp"),
        (8443, socket.SOCK_STREAM, "8443/tcp"),
    ],
)
def test_a_port_that_is_taken_is_named(  # noqa: PLR0913, PLR0917 - fixtures and cases
    tmp_path, fleet, boot_files, namespace, port, kind, text
):
    holder = subprocess.Popen(
        [
            *namespace,
            sys.executable,
            "-c",
            HOLDER,
            str(int(kind)),
            str(port),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"bound\n"
    try:
        done = rackwright(
            "serve",
            inside=namespace,
            state=tmp_path / "state",
            fleet=fleet,
            boot_files=boot_files,
        )
    finally:
        holder.communicate()
    assert done.returncode == 1
    assert text in done.stderr
    assert "error RW301: port" in done.stderr
    assert f"is already taken by python3 (pid {holder.pid})" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.needs_root
def test_two_servers_on_one_state_directory_are_refused(tmp_path, fleet, boot_files, namespace):
    state = tmp_path / "state"
    first = subprocess.Popen(
        [*namespace, sys.executable, "-m", "reconciler.cli", "serve", "--log-json"],
        env={
            **os.environ,
            "RACKWRIGHT_STATE": str(state),
            "RACKWRIGHT_REPO": str(fleet),
            "RACKWRIGHT_BOOT_FILES": str(boot_files),
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in first.stderr:
        if "network boot serves" in line:
            break
    try:
        done = rackwright(
            "serve", inside=namespace, state=state, fleet=fleet, boot_files=boot_files
        )
        assert done.returncode == 1
        assert f"RW903: process {first.pid} serves {state} already" in done.stderr
    finally:
        first.terminate()
        first.communicate(timeout=30)
    assert first.returncode == 0


def test_a_state_directory_that_cannot_be_made_is_named_without_a_traceback(tmp_path, fleet):
    (tmp_path / "file").write_text("in the way", "utf-8")
    done = rackwright("plan", state=tmp_path / "file" / "state", fleet=fleet)
    assert done.returncode == 1
    assert done.stderr.startswith("error RW910: the system refused: Not a directory")
    assert "Traceback" not in done.stderr


def test_a_defect_ends_with_a_code_and_shows_its_traceback_only_on_request():
    program = (
        "import sys, reconciler.cli.plan, reconciler.app.project as w\n"
        "def broken(*_): raise ValueError('boom')\n"
        "w.Project = broken\n"
        "from reconciler.cli.main import main\n"
        "sys.argv = ['rackwright', 'plan']; main()"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error RW999: unexpected ValueError: boom\n")
    environment = {**os.environ, "RACKWRIGHT_DEBUG": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr
