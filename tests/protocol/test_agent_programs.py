"""The two programs of the agent, from their first input to their last word."""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import deploy_os
from agent.bootline import parse_boot_line
from agent.clock import Clock
from agent.config import AgentConfig, load_config, save_config
from agent.credentials import CredentialStore
from agent.enroll import Invitation, enroll
from agent.errors import TerminalError
from agent.installed import InstalledOperation
from agent.journal import Journal
from agent.machine import LocalMachine
from agent.retry import RetryPolicy
from agent.service import RunningSystem, credentials_for, run_service
from agent.session import Session, SessionOptions, SessionResources
from agent.transport import KnownAuthority, Transport
from agent.wire.step import Finish, InspectDisks
from agent.wire.work import Work
from tests.protocol.agent_control_plane import FakeControlPlane

pytestmark = pytest.mark.timeout(60)

QUICK = Clock(pause=lambda seconds: threading.Event().wait(min(seconds, 0.02)) and None)
MACHINE = LocalMachine("installed")


class RecordedPower:
    """Takes down what was asked for instead of doing it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def reboot(self) -> None:
        self.calls.append("reboot")

    def poweroff(self) -> None:
        self.calls.append("poweroff")


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[FakeControlPlane]:
    plane = FakeControlPlane(tmp_path)
    plane.add_token("t-1", "node-1")
    plane.up()
    yield plane
    plane.down()


@pytest.fixture
def config_path(plane: FakeControlPlane, tmp_path: Path) -> Path:
    path = tmp_path / "agent.json"
    save_config(path, AgentConfig(plane.url, plane.pin, "t-1", "op-0", ""))
    return path


def test_the_ram_systems_agent_goes_from_the_command_line_to_power_off(
    plane: FakeControlPlane, tmp_path: Path
) -> None:
    line = (
        f"quiet rackwright.server={plane.url} rackwright.pin={plane.pin} rackwright.token=t-1 "
        "rackwright.idle=30"
    )
    operation = plane.arm("node-1", Work("op-1", 1, (InspectDisks(), Finish("poweroff"))))
    power = RecordedPower()
    deploy_os._work(
        parse_boot_line(line), tmp_path / "state", deploy_os.RamSystem(power=power, clock=QUICK)
    )
    assert operation.kinds() == ["step-started", "step-done", "done"]
    assert power.calls == ["poweroff"]
    assert plane.reports[0].environment == "deploy-os"
    assert plane.reports[0].installed is None


def test_the_first_start_uses_the_token_up_and_takes_it_off_the_disk(
    plane: FakeControlPlane, config_path: Path, tmp_path: Path
) -> None:
    store = CredentialStore(tmp_path / "state")
    config = load_config(config_path)
    first = credentials_for(config, config_path, store, MACHINE, QUICK)
    assert load_config(config_path) == AgentConfig(plane.url, plane.pin, "", "op-0", "node-1")
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"t-1" in content for content in kept)

    plane.down()
    again = credentials_for(load_config(config_path), config_path, store, MACHINE, QUICK)
    assert again == first


def test_a_crash_between_certificate_and_configuration_costs_no_second_token(
    plane: FakeControlPlane, config_path: Path, tmp_path: Path
) -> None:
    config = load_config(config_path)
    store = CredentialStore(tmp_path / "state")
    invitation = Invitation(config.server, config.pin, config.token, "installed")
    enroll(invitation, store, MACHINE.hardware(), RetryPolicy(limit=1.0), QUICK)
    credentials_for(load_config(config_path), config_path, store, MACHINE, QUICK)
    assert not load_config(config_path).token
    assert plane.count("POST /v1/enroll") == 1


def test_a_crash_before_the_answer_was_kept_repeats_the_same_request(
    plane: FakeControlPlane, config_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PowerCut(BaseException):
        pass

    def cut(_self: CredentialStore, _answer: object) -> None:
        raise PowerCut

    store = CredentialStore(tmp_path / "state")
    with monkeypatch.context() as patched:
        patched.setattr(CredentialStore, "save", cut)
        with pytest.raises(PowerCut):
            credentials_for(load_config(config_path), config_path, store, MACHINE, QUICK)
    credentials = credentials_for(load_config(config_path), config_path, store, MACHINE, QUICK)
    assert credentials.machine == "node-1"
    assert plane.alarms == []


def test_a_refused_token_stays_in_the_configuration_for_people_to_see(
    plane: FakeControlPlane, config_path: Path, tmp_path: Path
) -> None:
    plane.tokens["t-1"].used_by = "somebody else"
    store = CredentialStore(tmp_path / "state")
    config = load_config(config_path)
    with pytest.raises(TerminalError) as caught:
        credentials_for(config, config_path, store, MACHINE, QUICK)
    assert caught.value.code == "RW553"
    assert load_config(config_path) == config


def test_the_installed_agent_proves_its_system_and_restarts_it_when_told(
    plane: FakeControlPlane, config_path: Path, tmp_path: Path
) -> None:
    store = CredentialStore(tmp_path / "state")
    credentials = credentials_for(load_config(config_path), config_path, store, MACHINE, QUICK)
    transport = Transport(plane.url, KnownAuthority(credentials.authority), credentials)
    power = RecordedPower()
    operation = InstalledOperation(config_path, load_config(config_path))
    resources = SessionResources(
        transport=transport,
        machine=LocalMachine("installed", operation=operation),
        power=power,
        journal=Journal(tmp_path / "state/operation.json"),
        clock=QUICK,
    )
    plane.arm("node-1", Work("reboot-op-1", 1, (Finish("reboot"),)))
    Session(SessionOptions("installed", "node-1", outlives_refusal=True), resources).run()
    transport.close()
    installed = plane.reports[0].installed
    assert installed is not None
    assert installed.operation == "op-0"
    assert installed.hostname == Path("/proc/sys/kernel/hostname").read_text().strip()
    assert installed.machine_id == Path("/etc/machine-id").read_text().strip()
    assert power.calls == ["reboot"]


def test_a_verified_system_does_not_restart_for_the_work_that_installed_it(
    plane: FakeControlPlane, config_path: Path, tmp_path: Path
) -> None:
    plane.verified = "2026-11-21T12:00:00+00:00"
    power = RecordedPower()
    again = plane.arm("node-1", Work("reboot-op-0", 2, (Finish("reboot"),)))
    system = RunningSystem(power=power, clock=QUICK)
    agent = threading.Thread(
        target=run_service, args=(config_path, tmp_path / "state", system), daemon=True
    )
    agent.start()
    plane.wait_for(lambda: again.kinds() == ["failed"])
    (event,) = again.events
    assert (event.code, event.attempt) == ("RW574", 2)
    assert event.message == (
        "this system is what operation op-0 installed, and the server knew it as verified at "
        "2026-11-21T12:00:00+00:00"
    )
    assert event.result == {"finished": plane.verified}
    assert power.calls == []
    assert plane.count("POST /v1/operations/reboot-op-0/claim") == 0

    plane.arm("node-1", Work("reboot-op-1", 1, (Finish("reboot"),)))
    agent.join(30)
    assert power.calls == ["reboot"]
    assert load_config(config_path).finished == plane.verified


@pytest.mark.timeout(240)
def test_the_service_sends_an_inventory_of_the_system_that_it_runs_in(
    plane: FakeControlPlane, config_path: Path, tmp_path: Path
) -> None:
    power = RecordedPower()
    system = RunningSystem(power=power, clock=QUICK)
    agent = threading.Thread(
        target=run_service, args=(config_path, tmp_path / "state", system), daemon=True
    )
    agent.start()
    plane.wait_for(lambda: bool(plane.inventories), 180)
    (report,) = plane.inventories
    packages = next(each.put for each in report.changes if each.section == "packages")
    dpkg = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${Architecture} ${Version}\n"],
        capture_output=True,
        text=True,
        check=True,
    )
    there = {" ".join(row[:3]) for row in packages}
    assert there <= set(dpkg.stdout.splitlines())
    assert any(name.startswith("dpkg ") for name in there)
    plane.arm("node-1", Work("reboot-op-1", 1, (Finish("reboot"),)))
    agent.join(60)
    assert power.calls == ["reboot"]
