"""The agent's session against a real TLS server, with a disk that is a file."""

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import asdict, define, evolve, field
from builders.member_labels import write_md_label

from agent.clock import Clock
from agent.credentials import CredentialStore
from agent.enroll import Invitation, enroll
from agent.errors import TerminalError
from agent.evidence import EvidenceSources
from agent.fetched_files import FetchedFiles
from agent.imaging.manifest import decode
from agent.imaging.packed_text import unpack
from agent.inspection.host_paths import HostPaths
from agent.journal import Journal, JournalEntry
from agent.log import LogMemory
from agent.machine import LocalMachine
from agent.retry import RetryPolicy
from agent.session import Session, SessionOptions, SessionResources
from agent.steps.run import StepContext
from agent.transport import PinnedServer, Transport
from agent.wire.disk import Disk, DiskIdentity, DiskSelector
from agent.wire.package import PackageFile
from agent.wire.step import ApplyIdentity, Backup, Finish, InspectDisks, Restore, Step
from agent.wire.work import OnError, OperationEvent, TimeLimit, Work
from tests.protocol.agent_control_plane import FakeControlPlane, Operation
from tests.unit.agent_sysfs import VIRTIO, add_disk, add_interface
from tests.unit.lvm_images import group, group_text, logical, physical_volume, segment

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
    assert [disk.holds for disk in report.disks] == ["blank (whole disk read)"]
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


@pytest.mark.needs_root
def test_a_backup_keeps_what_stands_in_the_way_of_clones(bench: Bench) -> None:
    bench.disk.write_bytes(os.urandom(DISK_SIZE))
    backup = bench.plane.arm("node-1", work(Backup("golden", DiskSelector()), Finish("poweroff")))
    bench.join(bench.start())
    assert backup.state == "done", backup.events[-1]
    (data,) = bench.plane.manifests.values()
    system = decode(data).system
    assert system is not None
    assert [obstacle.code for obstacle in system.obstacles] == ["RW460"]


def restored(bench: Bench, content: bytes = b"") -> str:
    """Take an image of a disk full of data, or with this content; return its digest."""
    bench.disk.write_bytes(content or os.urandom(DISK_SIZE))
    backup = bench.plane.arm(
        "node-1", work(Backup("golden", DiskSelector()), Finish("poweroff"), operation="op-0")
    )
    bench.run_to_end()
    bench.power.calls.clear()
    return backup.events[-2].result["manifest"]


def test_a_restore_does_not_touch_one_half_of_a_mirror(bench: Bench) -> None:
    digest = restored(bench)
    before = write_md_label(bench.disk).read_bytes()
    order = work(Restore("golden", digest, bench.identity()), Finish("reboot"))
    operation = bench.plane.arm("node-1", order)
    thread = bench.start()
    bench.plane.wait_for(lambda: operation.state == "failed")
    bye(bench)
    bench.join(thread)
    assert operation.events[-1].code == "RW575"
    assert bench.disk.read_bytes() == before


def test_a_restore_writes_nothing_beside_a_copy_of_the_images_volume_group(bench: Bench) -> None:
    text = group_text("vg", group({"root": logical(segment(0, 4, "pv0", 0), uuid="root-1")}))
    content = physical_volume(text).ljust(DISK_SIZE, b"\0")
    digest = restored(bench, content)
    identity = bench.identity()
    bench.disk.write_bytes(bytes(DISK_SIZE))
    name = VIRTIO.replace("vda", "vdzy").replace("00:04.0", "00:05.0")
    add_disk(bench.machine.paths.sysfs, name, DISK_SIZE, {"serial": "disk-2"})
    other = bench.disk.with_name("vdzy")
    other.write_bytes(content)
    operation = bench.plane.arm(
        "node-1", work(Restore("golden", digest, identity), Finish("reboot"))
    )
    thread = bench.start()
    bench.plane.wait_for(lambda: operation.state == "failed")
    bye(bench)
    bench.join(thread)
    failed = operation.events[-1]
    assert failed.code == "RW463"
    assert failed.message == (
        f"a copy of an LVM volume group of the image is on {other} (disk-2) already: vg"
    )
    assert bench.disk.read_bytes() == bytes(DISK_SIZE)
    assert other.read_bytes() == content


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


# --- after a failure -------------------------------------------------------------------

AT_ONCE = OnError("local-boot", 0)
NOBODY = DiskSelector(serial="absent")


def failing(*steps: Step, on_error: OnError = AT_ONCE, **more: Any) -> Work:
    return Work(OP, 1, steps, on_error=on_error, **more)


def stays(bench: Bench, operation: Operation) -> None:
    """Show that the machine goes on asking for work after a failure; then end the session."""
    thread = bench.start()
    bench.plane.wait_for(lambda: operation.state == "failed")
    polls = bench.plane.count("GET /v1/work")
    bench.plane.wait_for(lambda: bench.plane.count("GET /v1/work") > polls)
    assert bench.power.calls == []
    bye(bench)
    bench.join(thread)
    assert bench.power.calls == ["poweroff"]


@pytest.mark.parametrize(
    ("action", "call"), [("local-boot", "reboot"), ("poweroff", "poweroff"), ("reboot", "reboot")]
)
def test_a_failed_backup_does_not_greet_the_user_in_the_morning(
    bench: Bench, action: str, call: str
) -> None:
    work = failing(Backup("own", NOBODY), Finish("stay"), on_error=OnError(action, 0))
    operation = bench.plane.arm("node-1", work)
    told: list[str] = []
    bench.power.notice = lambda: told.append(operation.state)
    bench.run_to_end()
    assert bench.power.calls == [call]
    assert told == ["failed"]
    assert operation.events[-1].code == "RW451"


def test_a_machine_told_to_stay_stays_after_a_failure(bench: Bench) -> None:
    work = failing(Backup("own", NOBODY), on_error=OnError("stay", 0))
    stays(bench, bench.plane.arm("node-1", work))


def test_a_restore_that_fails_before_its_first_write_ends_at_the_own_disk(bench: Bench) -> None:
    digest = restored(bench)
    before = bench.disk.read_bytes()
    del bench.plane.manifests[digest]
    step = Restore("golden", digest, bench.identity())
    operation = bench.plane.arm("node-1", failing(step, Finish("reboot")))
    bench.run_to_end()
    assert operation.state == "failed"
    assert bench.power.calls == ["reboot"]
    assert bench.disk.read_bytes() == before


def test_a_restore_that_fails_after_its_first_write_keeps_the_machine_in_the_ram_system(
    bench: Bench,
) -> None:
    digest = restored(bench)
    bench.disk.write_bytes(os.urandom(DISK_SIZE))
    fetched: list[str] = []

    def refuse(request: str) -> int:
        if request.startswith("GET /v1/chunks/"):
            fetched.append(request)
            return 404 if len(fetched) > 4 else 0
        return 0

    bench.plane.refuse = refuse
    step = Restore("golden", digest, bench.identity())
    stays(bench, bench.plane.arm("node-1", failing(step, Finish("reboot"))))
    assert bench.disk.read_bytes()[:512] == bytes(512)


def test_a_disk_that_an_earlier_attempt_wrote_counts_as_written(bench: Bench) -> None:
    work = failing(Backup("own", NOBODY), disks_written=True)
    stays(bench, bench.plane.arm("node-1", work))


@pytest.mark.parametrize("written", [False, True])
def test_an_agent_restarted_in_the_middle_does_what_the_work_said_of_failures(
    bench: Bench, *, written: bool
) -> None:
    operation = bench.plane.arm("node-1", failing(InspectDisks()))
    operation.state = "claimed"
    entry = JournalEntry(OP, 1, sequence=7, on_error=AT_ONCE, disks_written=written)
    Journal(bench.state / "operation.json").write(entry)
    if written:
        stays(bench, operation)
    else:
        bench.run_to_end()
        assert bench.power.calls == ["reboot"]


def test_a_machine_whose_operation_is_cancelled_stops_and_goes_back_to_its_disk(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    operation = bench.plane.arm("node-1", failing(Backup("own", DiskSelector()), Finish("stay")))

    def endless(_step: Step, context: StepContext) -> dict[str, str]:
        operation.state = "cancelled"
        for_a_moment = threading.Event()
        while True:
            context.progress(1, 10)
            for_a_moment.wait(0.05)

    bench.resources = evolve(bench.resources, do_step=endless)
    bench.run_to_end()
    assert bench.power.calls == ["reboot"]
    assert operation.kinds() == ["step-started"]
    said = "RW577: the server ended this operation: RW579: the operation has ended as cancelled"
    assert any(said in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(("writes", "call"), [(False, "reboot"), (True, "poweroff")])
def test_beside_a_step_that_hangs_nothing_else_is_done(
    bench: Bench, *, writes: bool, call: str
) -> None:
    for_ever = threading.Event()

    def hangs(_step: Step, context: StepContext) -> dict[str, str]:
        if writes:
            context.writing()
        for_ever.wait()
        return {}

    bench.resources = evolve(bench.resources, do_step=hangs)
    bench.options = evolve(bench.options, hang_seconds=0.2)
    work = failing(InspectDisks(), limits=(TimeLimit(0, 0, 1),), on_error=OnError("local-boot", 1))
    operation = bench.plane.arm("node-1", work)
    bench.run_to_end()
    for_ever.set()
    assert operation.events[-1].code == "RW576"
    assert operation.events[-1].message == (
        "step 1 of 1 (inspectDisks) did not end within 0:00:01; the step hangs"
    )
    assert bench.power.calls == [call]
    assert bench.plane.count("GET /v1/work") == 1


def test_a_file_that_cannot_be_fetched_is_waited_for_as_long_as_the_step_may_take(
    bench: Bench,
) -> None:
    def fetches(_step: Step, context: StepContext) -> dict[str, str]:
        return {"file": str(context.fetch(PackageFile("tool.deb", "0" * 64, 1)))}

    away = Transport("https://127.0.0.1:1", PinnedServer(bench.plane.pin))
    files = FetchedFiles(away, bench.state, bench.resources.clock)
    bench.resources = evolve(bench.resources, do_step=fetches, files=files)
    work = failing(InspectDisks(), limits=(TimeLimit(0, 0, 1),), on_error=OnError("local-boot", 0))
    operation = bench.plane.arm("node-1", work)
    bench.run_to_end()
    away.close()
    assert operation.events[-1].code == "RW576"
    assert operation.events[-1].message == "step 1 of 1 (inspectDisks) did not end within 0:00:01"


# --- evidence --------------------------------------------------------------------------


@define
class Records:
    """The records of a machine whose kernel log has its command line, as a real one has."""

    line: str

    def kernel_log(self) -> str:
        return f"[    0.000000] Command line: {self.line}\n"

    def disk_health(self, disks: Sequence[Disk]) -> str:
        return "".join(f"{disk.identity.serial} is well\n" for disk in disks)


def with_evidence(bench: Bench) -> LogMemory:
    pin = bench.plane.pin
    log = LogMemory()
    records = Records(f"rackwright.server=x rackwright.pin={pin} rackwright.token=secret-token-1")
    sources = EvidenceSources(records, log, ("secret-token-1", pin))
    bench.resources = evolve(bench.resources, evidence=sources)
    return log


def sent(bench: Bench, operation: str = OP) -> dict[str, str]:
    return {
        name: unpack(body).decode()
        for (of, _, name), body in bench.plane.evidence.items()
        if of == operation
    }


def test_all_of_a_run_is_on_the_server_before_its_end_is_told_without_secrets(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    log = with_evidence(bench)
    step = ApplyIdentity(
        bench.identity(), "n", "52:54:00:12:34:56", (), "", (), "", bench.plane.pin, "agent-tok", ""
    )

    def leaks(step: Step, _context: StepContext) -> dict[str, str]:
        logging.getLogger("agent").info("%s secret-token-1 agent-tok", asdict(step))
        raise TerminalError("RW460", "nothing works with agent-tok", "Do it")

    bench.resources = evolve(bench.resources, do_step=leaks)
    operation = bench.plane.arm("node-1", failing(step, Finish("reboot")))
    at_the_end: list[set[str]] = []
    heard = bench.plane._event

    def event(name: str, machine: str, said: OperationEvent) -> None:
        if said.kind == "failed":
            at_the_end.append(set(sent(bench)))
        heard(name, machine, said)

    bench.plane._event = event  # type: ignore[method-assign]
    with log.attached():
        bench.run_to_end()
    assert operation.state == "failed"
    assert at_the_end == [{"agent", "dmesg", "disks", "smart", "system"}]
    texts = sent(bench)
    assert texts["smart"] == "disk-1 is well\n"
    assert "disk-1" in texts["disks"].partition("after the last step")[2]
    assert "FAILED RW460: nothing works with [redacted]" in texts["agent"]
    assert json.loads(texts["system"])["outcome"].startswith("RW460: ")
    for text in texts.values():
        for secret in ("secret-token-1", "agent-tok", bench.plane.pin):
            assert secret not in text


def test_what_could_not_be_sent_is_sent_with_the_next_attempt_and_delays_nothing(
    bench: Bench,
) -> None:
    with_evidence(bench)
    bench.plane.refuse = lambda request: 503 if "/evidence/" in request else 0
    first = bench.plane.arm("node-1", work(InspectDisks(), Finish("stay")))
    thread = bench.start()
    bench.plane.wait_for(lambda: first.state == "done")
    assert bench.plane.evidence == {}
    bench.plane.refuse = lambda _request: 0
    bye(bench)
    bench.join(thread)
    assert set(sent(bench)) == {"agent", "dmesg", "disks", "smart", "system"}
    assert set(sent(bench, "op-bye")) == {"agent", "dmesg", "disks", "smart", "system"}


def test_a_server_that_takes_no_evidence_gets_its_work_done_all_the_same(bench: Bench) -> None:
    with_evidence(bench)
    bench.plane.refuse = lambda request: 404 if "/evidence/" in request else 0
    operation = bench.plane.arm("node-1", work(InspectDisks(), Finish("reboot")))
    bench.run_to_end()
    assert operation.kinds() == ["step-started", "step-done", "done"]


def test_of_an_attempt_that_an_earlier_process_began_is_sent_what_there_is(bench: Bench) -> None:
    with_evidence(bench)
    operation = bench.plane.arm("node-1", failing(InspectDisks()))
    operation.state = "claimed"
    entry = JournalEntry(OP, 1, sequence=7, on_error=AT_ONCE)
    Journal(bench.state / "operation.json").write(entry)
    bench.run_to_end()
    texts = sent(bench)
    assert texts["disks"].startswith("before the first step\n  not known\nafter the last step\n")
    assert texts["smart"] == "disk-1 is well\n"
    assert json.loads(texts["system"])["outcome"].startswith("RW564: the agent was started again")
    assert bench.power.calls == ["reboot"]


def test_one_record_that_cannot_be_read_costs_no_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_evidence(bench)

    def fails(_records: Records) -> str:
        raise OSError("no such thing")

    monkeypatch.setattr(Records, "kernel_log", fails)
    operation = bench.plane.arm("node-1", work(InspectDisks(), Finish("reboot")))
    bench.run_to_end()
    assert operation.state == "done"
    assert set(sent(bench)) == {"agent", "disks", "smart", "system"}
