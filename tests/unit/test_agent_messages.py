"""Messages, events and the agent's two programs, without a network."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bootline import DEFAULT_IDLE_SECONDS
from agent.clock import Clock
from agent.deploy_os import give_up
from agent.errors import FencedError, TerminalError, TransientError
from agent.events import EventStream, report_unfinished, unfinished
from agent.journal import Journal, JournalEntry
from agent.session import check_order
from agent.steps.chunk_store import ChunkStore
from agent.steps.run import counts
from agent.transport import PinnedServer, Transport
from agent.wire.codec import WireError, decode, encode
from agent.wire.disk import Disk, DiskIdentity, DiskSelector
from agent.wire.enrollment import Enrollment, EnrollmentRequest
from agent.wire.report import Report
from agent.wire.step import ApplyIdentity, Backup, Finish, InspectDisks, Restore
from agent.wire.work import OperationEvent, Work

DISK = DiskIdentity("naa.5", "S", "pci-0000:00:04.0", 1000)
STEPS = (
    InspectDisks(),
    Backup("golden", DiskSelector(serial="S")),
    Restore("golden", "a" * 64, DISK),
    ApplyIdentity(DISK, "n", "m", ("10.0.0.1/24",), "", ("10.0.0.2",), "s", "p", "t", "op"),
    Finish("reboot"),
)


def test_work_with_every_kind_of_step_survives_the_wire() -> None:
    work = Work("op-1", 3, STEPS)
    assert decode(Work, encode(work)) == work


def test_unknown_fields_are_ignored_and_unknown_steps_are_not() -> None:
    text = b'{"operation":"o","attempt":1,"steps":[{"type":"finish","action":"stay","x":1}],"y":2}'
    assert decode(Work, text) == Work("o", 1, (Finish("stay"),))
    with pytest.raises(WireError):
        decode(Work, text.replace(b"finish", b"levitate"))


def test_what_an_older_agent_says_of_a_disk_is_read() -> None:
    said = (
        b'{"identity":{"wwn":"","serial":"S","path":"","size":512},"node":"/dev/sda","model":"",'
        b'"sector_size":512,"table":"gpt","removable":false,"read_only":false,"partitions":['
        b'{"number":1,"start":0,"size":1,"type":"0x83","uuid":"","filesystem":"xfs","label":""}],'
        b'"holds":"gpt, 1 partition: xfs"}'
    )
    disk = decode(Disk, said)
    assert (disk.part_of, disk.transport, disk.partitions[0].content) == ("", "", "xfs")


@pytest.mark.parametrize("kind", [Work, Report, Enrollment, EnrollmentRequest, OperationEvent])
@given(data=st.binary(max_size=80))
def test_garbage_is_one_kind_of_error(kind: type, data: bytes) -> None:
    with pytest.raises(WireError):
        decode(kind, data)


@pytest.mark.parametrize(
    "text",
    [
        b'{"operation":"o","attempt":"1","steps":[]}',
        b'{"operation":"o","attempt":true,"steps":[]}',
        b'{"operation":7,"attempt":1,"steps":[]}',
        b'{"attempt":1,"steps":[]}',
        b'{"operation":"o","attempt":1,"steps":[{"type":"finish","action":"explode"}]}',
        encode(Work("o", 1, STEPS[2:3])).replace(b"a" * 64, b"a" * 63),
    ],
)
def test_a_field_of_another_form_is_an_error(text: bytes) -> None:
    with pytest.raises(WireError):
        decode(Work, text)


NOW = Clock(pause=lambda _seconds: None, chance=lambda: 0.0)


class Server:
    """Hears events; refuses as long as ``failures`` has something to raise."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.heard: list[OperationEvent] = []

    def __call__(self, operation: str, event: OperationEvent) -> None:
        assert operation == "op-1"
        if self.failures:
            raise self.failures.pop(0)
        self.heard.append(event)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "operation.json")


def stream(server: Server, journal: Journal, interval: float = 3600.0) -> EventStream:
    return EventStream(
        server, JournalEntry.of(Work("op-1", 2, (InspectDisks(),))), journal, NOW, interval
    )


def progress_forever(events: EventStream) -> None:
    while True:
        events.progress(2, 10)


AWAY = TransientError("RW557", "away", "wait")
FENCED = FencedError("RW554", "another attempt took over", "nothing")


def test_a_fact_is_sent_until_it_is_heard_always_with_the_same_number(journal: Journal) -> None:
    server = Server(*[AWAY] * 5)
    events = stream(server, journal)
    with events.running():
        events.step_started(0)
        events.step_done({"disks": "1"})
        events.done("reboot")
    assert [(event.sequence, event.kind) for event in server.heard] == [
        (1, "step-started"),
        (2, "step-done"),
        (3, "done"),
    ]
    assert server.heard[1].result == {"disks": "1"}
    assert journal.read() is None


def test_the_end_is_in_the_journal_before_it_is_sent(journal: Journal) -> None:
    class PowerCut(BaseException):
        pass

    def cut(_operation: str, _event: OperationEvent) -> None:
        raise PowerCut

    events = EventStream(cut, JournalEntry.of(Work("op-1", 2, ())), journal, NOW, 3600.0)
    with pytest.raises(PowerCut), events.running():
        events.done("reboot")
    server = Server(AWAY)
    found = unfinished(journal)
    assert found is not None
    assert report_unfinished(server, journal, NOW, found).is_done
    assert found.entry.finish == "reboot"
    assert [(event.kind, event.sequence, event.attempt) for event in server.heard] == [
        ("done", 1, 2)
    ]
    assert journal.read() is None


def test_an_interrupted_attempt_is_reported_as_failed_and_never_done(journal: Journal) -> None:
    journal.write(JournalEntry("op-1", 2, sequence=4, step=1, finish="reboot"))
    server = Server()
    found = unfinished(journal)
    assert found is not None
    assert not report_unfinished(server, journal, NOW, found).is_done
    (event,) = server.heard
    assert (event.kind, event.code, event.sequence, event.step) == ("failed", "RW564", 5, 1)


def test_an_interrupted_attempt_that_the_server_took_away_is_forgotten(journal: Journal) -> None:
    journal.write(JournalEntry("op-1", 2))
    found = unfinished(journal)
    assert found is not None
    told = report_unfinished(Server(FENCED), journal, NOW, found)
    assert not told.is_done
    assert told.cause == str(FENCED)
    assert journal.read() is None


def test_nothing_unfinished_is_nothing_to_report(journal: Journal) -> None:
    assert unfinished(journal) is None
    journal.path.write_bytes(b"{")
    assert unfinished(journal) is None


def test_after_a_refusal_the_running_step_is_stopped(journal: Journal) -> None:
    server = Server()
    events = stream(server, journal, interval=0.001)
    with events.running():
        events.step_started(0)
        events.progress(1, 10)
        server.failures = [FENCED] * 1000
        with pytest.raises(FencedError):
            progress_forever(events)
        with pytest.raises(FencedError):
            events.done("reboot")
    assert "done" not in [event.kind for event in server.heard]


def test_progress_that_is_lost_is_lost_and_numbers_stay_unique(journal: Journal) -> None:
    server = Server()
    events = stream(server, journal, interval=0.001)
    with events.running():
        events.step_started(0)
        server.failures = [AWAY]
        done = 0
        while len(server.heard) < 4:
            done += 1
            events.progress(done, 1_000_000_000)
        events.step_done({})
        events.done("stay")
    numbers = [event.sequence for event in server.heard]
    assert numbers == sorted(set(numbers))
    assert server.heard[-2].bytes_done == done


def test_progress_that_the_journal_has_no_room_for_stops_nothing(journal: Journal) -> None:
    server = Server()
    events = stream(server, journal, interval=0.001)
    with events.running():
        events.step_started(0)
        journal.path.unlink()
        journal.path.mkdir()  # no file can be written in its place
        before, done = events._entry.sequence, 0
        while events._entry.sequence < before + 3:
            done += 1
            events.progress(done, 1_000_000_000)
        with pytest.raises(TerminalError, match=r"RW572: .*operation\.json cannot be written"):
            events.step_done({})
        journal.path.rmdir()
        events.done("stay")
    assert server.heard[-1].kind == "done"


def test_a_failure_may_be_told_for_a_while_only(journal: Journal) -> None:
    server = Server(*[AWAY] * 1000)
    events = stream(server, journal)
    with events.running(), pytest.raises(TransientError):
        events.failed(FENCED, 0.0)
    assert server.heard == []


def test_that_a_disk_is_written_is_in_the_journal_before_it_is(journal: Journal) -> None:
    events = stream(Server(), journal)
    with events.running():
        assert not events.disks_written
        events.writing()
        entry = journal.read()
        assert entry is not None
        assert entry.disks_written
        assert events.disks_written
        events.done("reboot")


def test_finish_has_to_be_the_last_step() -> None:
    check_order(Work("o", 1, (InspectDisks(), Finish("stay"))))
    check_order(Work("o", 1, ()))
    with pytest.raises(TerminalError) as caught:
        check_order(Work("o", 1, (Finish("stay"), InspectDisks())))
    assert caught.value.code == "RW570"


def test_what_a_restore_counted_is_worded_for_events() -> None:
    assert counts({"chunks_written": 3, "table_moved": True}) == {
        "chunks-written": "3",
        "table-moved": "true",
    }


def test_a_chunk_name_that_is_no_digest_never_becomes_a_path() -> None:
    store = ChunkStore(Transport("https://127.0.0.1:1", PinnedServer("0" * 64)), Clock(), list)
    for name in ("../../etc/passwd", "", "A" * 64, "a" * 63):
        with pytest.raises(TerminalError) as caught:
            store.get(name)
        assert caught.value.code == "RW455"


@pytest.mark.parametrize("url", ["http://x", "https://", "", "https://[::1", "ftp://x"])
def test_what_is_no_https_url_is_refused(url: str) -> None:
    with pytest.raises(TerminalError) as caught:
        Transport(url, PinnedServer("0" * 64))
    assert caught.value.code == "RW560"


def test_a_stopped_machine_shows_its_error_every_minute_and_is_then_switched_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    ends: list[float] = []

    class Off:
        def reboot(self) -> None:
            raise AssertionError

        def poweroff(self) -> None:
            ends.append(now[0])

    def pause(seconds: float) -> None:
        now[0] += seconds

    clock = Clock(monotonic=lambda: now[0], pause=pause)
    error = TerminalError("RW553", "the server refused", "See its status")
    give_up(error, float(DEFAULT_IDLE_SECONDS), clock, Off())
    assert ends == [900.0]
    assert len(caplog.messages) == 15
    assert caplog.messages[0] == (
        "STOPPED RW553: the server refused. See its status. Switching off in 900 s."
    )
