"""The agent's session against a real TLS server, with a disk that is a file."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import define, evolve, field

from agent.clock import Clock
from agent.credentials import CredentialStore
from agent.enroll import Invitation, enroll
from agent.errors import TerminalError
from agent.inspection.host_paths import HostPaths
from agent.journal import Journal, JournalEntry
from agent.machine import LocalMachine
from agent.retry import RetryPolicy
from agent.session import Session, SessionOptions, SessionResources
from agent.transport import PinnedServer, Transport
from agent.wire.disk import DiskIdentity, DiskSelector
from agent.wire.step import ApplyIdentity, Backup, Finish, InspectDisks, Restore, Step
from agent.wire.work import Work
from tests.protocol.agent_control_plane import FakeControlPlane
from tests.unit.agent_sysfs import VIRTIO, add_disk, add_interface

pytestmark = pytest.mark.timeout(90)

DISK_SIZE = 8 * 1024 * 1024
OP = "op-1"


class Over(BaseException):
    """The test has ended; so does a session that still waits for something."""


@define
class RecordedPower:
    """Takes down what was asked for instead of doing it."""

    calls: list[str] = field(factory=list)
    notice: Callable[[], None] = lambda: None

    def reboot(self) -> None:
        self.notice()
        self.calls.append("reboot")

    def poweroff(self) -> None:
        self.notice()
        self.calls.append("poweroff")


@define
class Bench:
    """A machine with one file for a disk, enrolled with a running control plane."""

    plane: FakeControlPlane
    machine: LocalMachine
    resources: SessionResources
    power: RecordedPower
    state: Path
    disk: Path
    options: SessionOptions
    failure: list[BaseException] = field(factory=list)

    def start(self) -> threading.Thread:
        def work() -> None:
            try:
                Session(self.options, self.resources).run()
            except TerminalError as error:
                self.failure.append(error)
            except Over:
                return

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    def run_to_end(self) -> None:
        self.join(self.start())

    @staticmethod
    def join(thread: threading.Thread) -> None:
        thread.join(60)
        assert not thread.is_alive(), "the session did not end"

    def identity(self) -> DiskIdentity:
        return self.machine.disks().disks[0].identity


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    plane = FakeControlPlane(tmp_path)
    plane.add_token("t-1", "node-1")
    plane.up()
    sysfs = tmp_path / "sys"
    # A kernel name that the host of the test does not have.
    add_disk(sysfs, VIRTIO.replace("vda", "vdzz"), DISK_SIZE, {"serial": "disk-1"})
    add_interface(sysfs, "eth0", {"address": "52:54:00:12:34:56", "device/vendor": "0x1af4"})
    disk = tmp_path / "dev" / "vdzz"
    disk.parent.mkdir()
    disk.write_bytes(bytes(DISK_SIZE))
    machine = LocalMachine("deploy-os", HostPaths(sysfs=sysfs, dev=disk.parent))
    over = threading.Event()

    def pause(seconds: float) -> None:
        if over.wait(min(seconds, 0.02)):
            raise Over

    clock = Clock(pause=pause)
    state = tmp_path / "state"
    credentials = enroll(
        Invitation(plane.url, plane.pin, "t-1", "deploy-os"),
        CredentialStore(state),
        machine.hardware(),
        RetryPolicy(limit=1.0),
        clock,
    )
    transport = Transport(plane.url, PinnedServer(plane.pin), credentials)
    power = RecordedPower()
    resources = SessionResources(
        transport=transport,
        machine=machine,
        power=power,
        journal=Journal(state / "operation.json"),
        clock=clock,
    )
    options = SessionOptions("deploy-os", credentials.machine, idle=None)
    yield Bench(plane, machine, resources, power, state, disk, options)
    over.set()
    plane.down()
    transport.close()


def work(*steps: Step, operation: str = OP, attempt: int = 1) -> Work:
    return Work(operation, attempt, steps)


def bye(bench: Bench) -> None:
    """End the session with an operation that does nothing else."""
    bench.plane.arm("node-1", work(Finish("poweroff"), operation="op-bye"))


def test_an_inspection_reports_the_disks_and_the_machine_restarts_after_the_last_word(
    bench: Bench,
) -> None:
    operation = bench.plane.arm("node-1", work(InspectDisks(), Finish("reboot")))
    seen_at_reboot: list[str] = []
    bench.power.notice = lambda: seen_at_reboot.append(operation.state)
    bench.run_to_end()
    assert operation.kinds() == ["step-started", "step-done", "done"]
    assert [event.sequence for event in operation.events] == sorted(
        {event.sequence for event in operation.events}
    )
    assert seen_at_reboot == ["done"]
    report = bench.plane.reports[-1]
    assert report.hardware.macs == ("52:54:00:12:34:56",)
    assert [disk.identity.serial for disk in report.disks] == ["disk-1"]
    assert [disk.holds for disk in report.disks] == ["blank"]
    assert not (bench.state / "operation.json").exists()


def test_a_lost_answer_to_any_event_is_delivered_again_and_the_machine_still_restarts_once(
    bench: Bench,
) -> None:
    operation = bench.plane.arm("node-1", work(InspectDisks(), Finish("reboot")))
    bench.plane.lose_answer_to[f"POST /v1/operations/{OP}/events"] = 9
    bench.run_to_end()
    assert operation.kinds() == ["step-started", "step-done", "done"]
    assert operation.duplicates >= 8
    assert bench.power.calls == ["reboot"]


def test_a_lost_answer_to_the_claim_does_not_lose_the_work(bench: Bench) -> None:
    operation = bench.plane.arm("node-1", work(InspectDisks(), Finish("poweroff")))
    bench.plane.lose_answer_to[f"POST /v1/operations/{OP}/claim"] = 1
    bench.run_to_end()
    assert operation.state == "done"


def test_nothing_is_done_before_the_claim_was_granted(bench: Bench) -> None:
    bench.plane.refuse = lambda request: 409 if request.endswith("/claim") else 0
    operation = bench.plane.arm("node-1", work(InspectDisks(), Finish("reboot")))
    thread = bench.start()
    bench.plane.wait_for(lambda: bench.plane.count(f"POST /v1/operations/{OP}/claim") >= 2)
    assert operation.events == []
    operation.state = "fenced"
    bench.plane.refuse = lambda _request: 0
    bye(bench)
    bench.join(thread)
    assert bench.power.calls == ["poweroff"]


def test_a_server_that_goes_away_and_comes_back_is_waited_for(bench: Bench) -> None:
    thread = bench.start()
    bench.plane.wait_for(lambda: bench.plane.count("GET /v1/work") >= 1)
    bench.plane.down()
    bench.plane.up()
    operation = bench.plane.arm("node-1", work(InspectDisks(), Finish("reboot")))
    bench.join(thread)
    assert operation.kinds() == ["step-started", "step-done", "done"]


def test_a_machine_restarts_only_once_the_server_that_was_away_has_heard_of_the_end(
    bench: Bench,
) -> None:
    operation = bench.plane.arm("node-1", work(InspectDisks(), Finish("reboot")))
    refused = threading.Event()

    def refuse(request: str) -> int:
        ended = operation.kinds() == ["step-started", "step-done"]
        if ended and request.endswith("/events") and not refused.is_set():
            refused.set()
            return 503
        return 0

    bench.plane.refuse = refuse
    thread = bench.start()
    assert refused.wait(20)
    bench.plane.down()
    assert bench.power.calls == []
    bench.plane.up()
    bench.join(thread)
    assert operation.state == "done"
    assert bench.power.calls == ["reboot"]


def test_backup_and_restore_bring_a_disk_back(bench: Bench) -> None:
    content = os.urandom(DISK_SIZE // 2) + bytes(DISK_SIZE // 2)
    bench.disk.write_bytes(content)
    backup = bench.plane.arm("node-1", work(Backup("golden", DiskSelector()), Finish("stay")))
    thread = bench.start()
    bench.plane.wait_for(lambda: backup.state in ("done", "failed"))
    assert backup.kinds() == ["step-started", "step-done", "done"], backup.events[-1]
    digest = backup.events[-2].result["manifest"]
    assert list(bench.plane.manifests) == [digest]
    assert backup.events[-2].bytes_done == backup.events[-2].bytes_total > 0

    bench.disk.write_bytes(os.urandom(DISK_SIZE))
    steps = (Restore("golden", digest, bench.identity()), Finish("poweroff"))
    restore = bench.plane.arm("node-1", work(*steps, operation="op-2"))
    bench.join(thread)
    assert restore.kinds() == ["step-started", "step-done", "done"], restore.events[-1]
    assert int(restore.events[-2].result["chunks-written"]) > 0
    assert bench.disk.read_bytes()[: DISK_SIZE // 2] == content[: DISK_SIZE // 2]
    assert bench.power.calls == ["poweroff"]


def restored(bench: Bench) -> str:
    """Take an image of a disk full of data; return its digest."""
    bench.disk.write_bytes(os.urandom(DISK_SIZE))
    backup = bench.plane.arm(
        "node-1", work(Backup("golden", DiskSelector()), Finish("poweroff"), operation="op-0")
    )
    bench.run_to_end()
    bench.power.calls.clear()
    return backup.events[-2].result["manifest"]


def test_a_restore_touches_no_other_disk_and_its_failure_names_the_disks(bench: Bench) -> None:
    digest = restored(bench)
    before = bench.disk.read_bytes()
    other = evolve(bench.identity(), serial="disk-2")
    operation = bench.plane.arm("node-1", work(Restore("golden", digest, other), Finish("reboot")))
    thread = bench.start()
    bench.plane.wait_for(lambda: operation.state == "failed")
    bye(bench)
    bench.join(thread)
    failed = operation.events[-1]
    assert failed.code == "RW451"
    assert failed.message == (
        f"there is no disk serial=disk-2 path=pci-0000:00:04.0 size={DISK_SIZE}; this machine has: "
        f"{bench.disk} serial disk-1 path pci-0000:00:04.0 {DISK_SIZE} bytes"
    )
    assert bench.disk.read_bytes() == before
    assert bench.power.calls == ["poweroff"]  # from the operation after it, not from this one


def test_a_manifest_that_is_not_the_approved_one_is_refused_before_the_disk_is_opened(
    bench: Bench,
) -> None:
    digest = restored(bench)
    before = bench.disk.read_bytes()
    bench.plane.manifests["0" * 64] = bench.plane.manifests[digest]
    steps = (Restore("golden", "0" * 64, bench.identity()), Finish("reboot"))
    operation = bench.plane.arm("node-1", work(*steps))
    thread = bench.start()
    bench.plane.wait_for(lambda: operation.state == "failed")
    bye(bench)
    bench.join(thread)
    assert operation.events[-1].code == "RW457"
    assert bench.disk.read_bytes() == before


def test_fencing_stops_a_restore_in_the_middle(bench: Bench) -> None:
    digest = restored(bench)
    bench.disk.write_bytes(bytes(DISK_SIZE))
    operation = bench.plane.arm(
        "node-1", work(Restore("golden", digest, bench.identity()), Finish("reboot"))
    )
    fetched: list[str] = []

    def refuse(request: str) -> int:
        # From the second chunk on the server is busy, until progress tells of the fence.
        if request.startswith("GET /v1/chunks/"):
            fetched.append(request)
            if len(fetched) > 1:
                operation.state = "fenced"
                return 503
        return 0

    bench.plane.refuse = refuse
    polls = bench.plane.count("GET /v1/work")
    thread = bench.start()
    bench.plane.wait_for(lambda: bench.plane.count("GET /v1/work") >= polls + 2, 50)
    assert [event.kind for event in operation.events if event.kind != "progress"] == [
        "step-started"
    ]
    assert not (bench.state / "operation.json").exists()
    bench.plane.refuse = lambda _request: 0
    bye(bench)
    bench.join(thread)
    assert bench.power.calls == ["poweroff"]


def test_after_a_failure_the_machine_stays_on_although_it_is_idle(bench: Bench) -> None:
    bench.options = evolve(bench.options, idle=0.0)
    nobody = DiskSelector(serial="absent")
    operation = bench.plane.arm("node-1", work(Backup("golden", nobody), Finish("reboot")))
    thread = bench.start()
    bench.plane.wait_for(lambda: operation.state == "failed")
    polls = bench.plane.count("GET /v1/work")
    bench.plane.wait_for(lambda: bench.plane.count("GET /v1/work") > polls)
    assert bench.power.calls == []
    bye(bench)
    bench.join(thread)


def test_an_idle_machine_is_switched_off(bench: Bench) -> None:
    now = [0.0]
    clock = Clock(monotonic=lambda: now.__setitem__(0, now[0] + 1) or now[0], pause=lambda _: None)
    bench.resources = evolve(bench.resources, clock=clock)
    bench.options = evolve(bench.options, idle=60.0)
    answers = bench.plane._work
    bench.plane._work = lambda machine, _wait: answers(machine, 0)  # type: ignore[method-assign]
    bench.run_to_end()
    assert bench.power.calls == ["poweroff"]
    assert bench.plane.count("GET /v1/work") > 5
    assert bench.plane.count("POST /v1/report") > 1


def test_an_attempt_that_is_offered_again_is_not_begun_again(bench: Bench) -> None:
    operation = bench.plane.arm("node-1", work(InspectDisks(), Finish("stay")))
    thread = bench.start()
    bench.plane.wait_for(lambda: operation.state == "done")
    claims = bench.plane.count(f"POST /v1/operations/{OP}/claim")
    with bench.plane.changed:
        operation.state = "armed"
        bench.plane.changed.notify_all()
    bench.plane.wait_for(lambda: any(report.problems for report in bench.plane.reports))
    with bench.plane.changed:
        operation.state = "done"
    bye(bench)
    bench.join(thread)
    assert bench.plane.count(f"POST /v1/operations/{OP}/claim") == claims
    problems = [problem for report in bench.plane.reports for problem in report.problems]
    assert problems[0] == f"RW564: attempt 1 of {OP} was offered again"


def test_a_newer_attempt_of_the_same_operation_is_begun(bench: Bench) -> None:
    first = bench.plane.arm("node-1", work(InspectDisks(), Finish("stay")))
    thread = bench.start()
    bench.plane.wait_for(lambda: first.state == "done")
    second = bench.plane.arm("node-1", work(InspectDisks(), Finish("poweroff"), attempt=2))
    bench.join(thread)
    assert second.state == "done"
    assert second.events[0].sequence == 1


def test_work_of_an_unknown_form_is_reported_as_a_problem(bench: Bench) -> None:
    answers: list[Callable[[], bytes]] = [
        lambda: json.dumps(
            {"operation": OP, "attempt": 1, "steps": [{"type": "levitate"}]}
        ).encode()
    ]
    honest = bench.plane._work

    def odd(machine: str, wait: float) -> bytes | None:
        return answers.pop()() if answers else honest(machine, wait)

    bench.plane._work = odd  # type: ignore[method-assign]
    thread = bench.start()
    bench.plane.wait_for(lambda: any(report.problems for report in bench.plane.reports))
    bye(bench)
    bench.join(thread)
    problems = [problem for report in bench.plane.reports for problem in report.problems]
    assert problems[0].startswith("RW559: work that this agent does not understand: not a Work: ")
    assert bench.plane.count(f"POST /v1/operations/{OP}/claim") == 0


def test_an_agent_restarted_in_the_middle_reports_the_operation_as_failed(bench: Bench) -> None:
    operation = bench.plane.arm("node-1", work(InspectDisks(), Finish("reboot")))
    operation.state = "claimed"
    Journal(bench.state / "operation.json").write(JournalEntry(OP, 1, sequence=7, step=0))
    thread = bench.start()
    bench.plane.wait_for(lambda: operation.state == "failed")
    bye(bench)
    bench.join(thread)
    failed = operation.events[-1]
    assert (failed.code, failed.sequence) == ("RW564", 8)
    assert failed.message == "the agent was started again in the middle of this operation"
    assert not (bench.state / "operation.json").exists()


def test_finish_before_other_steps_fails_before_anything_is_done(bench: Bench) -> None:
    operation = bench.plane.arm("node-1", work(Finish("reboot"), InspectDisks()))
    thread = bench.start()
    bench.plane.wait_for(lambda: operation.state == "failed")
    bye(bench)
    bench.join(thread)
    assert operation.kinds() == ["failed"]
    assert operation.events[0].code == "RW570"


def test_an_installed_system_refuses_steps_that_need_its_disks_for_themselves(
    bench: Bench,
) -> None:
    bench.options = evolve(bench.options, environment="installed")
    digest = "0" * 64
    steps: tuple[Step, ...] = (
        Backup("golden", DiskSelector()),
        Restore("golden", digest, bench.identity()),
        ApplyIdentity(bench.identity(), "n", "52:54:00:12:34:56", (), "", (), "", "", "", ""),
    )
    thread = bench.start()
    for index, step in enumerate(steps):
        operation = bench.plane.arm("node-1", work(step, operation=f"op-{index}"))
        bench.plane.wait_for(lambda op=operation: op.state == "failed")
        assert operation.events[-1].code == "RW571"
    bye(bench)
    bench.join(thread)


def test_a_quarantined_agent_in_the_ram_system_stops_and_one_in_a_system_carries_on(
    bench: Bench,
) -> None:
    bench.plane.quarantined.add("node-1")
    bench.run_to_end()
    (error,) = bench.failure
    assert isinstance(error, TerminalError)
    assert error.code == "RW553"
    assert "node-1 is quarantined" in error.cause

    bench.options = evolve(bench.options, environment="installed", outlives_refusal=True)
    thread = bench.start()
    before = len(bench.plane.requests)
    bench.plane.wait_for(lambda: len(bench.plane.requests) >= before + 3)
    bench.plane.quarantined.clear()
    bye(bench)
    bench.join(thread)
    assert bench.power.calls == ["poweroff"]
