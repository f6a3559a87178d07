"""What machines send of their runs: taken in, shown, and let go."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from builders.world import NOW, a_disk, a_fleet, a_machine, a_report, an_image
from hypothesis import given
from hypothesis import strategies as st

from agent.evidence import bounded, disks_text, redacted
from agent.imaging.packed_text import pack, unpack
from agent.wire.evidence import MOST_PACKED, MOST_TEXT
from reconciler.app.run_log import chosen_log
from reconciler.errors import ReconcilerError, StateError
from reconciler.loop.approval import approve
from reconciler.planning.planner import plan
from reconciler.server.evidence import EvidenceKeeper
from reconciler.state.database import Database, open_database
from reconciler.state.ledger import Ledger
from reconciler.state.machine_history import MachineHistory
from reconciler.state.machines import Machines
from reconciler.state.operation_states import OperationState
from reconciler.state.run_evidence import GRACE, EvidenceFile, RunEvidence
from reconciler.state.world import observe
from reconciler.views.run_log import log_lines
from specs.fleet import FleetSettings

_S = OperationState
ONE, TWO = a_machine(1, "clone-golden"), a_machine(2, "clone-golden")
LATER = NOW + timedelta(days=30)


@dataclass
class Site:
    """A state directory with two operations of one run."""

    database: Database
    evidence: RunEvidence
    folder: Path
    settings: FleetSettings
    run: str
    now: datetime = NOW

    @property
    def keeper(self) -> EvidenceKeeper:
        return EvidenceKeeper(self.evidence, lambda: self.settings, lambda: self.now)

    def op_id(self, machine: str) -> str:
        (found,) = (
            each.operation.op_id
            for each in Ledger(self.database).operations()
            if each.operation.machine == machine
        )
        return found

    def move(self, machine: str, before: OperationState, after: OperationState) -> None:
        Ledger(self.database).move(
            self.op_id(machine), before, after, attempt=1, at=self.now, actor="t", reason=""
        )

    def begin(self, machine: str) -> None:
        self.move(machine, _S.APPROVED, _S.ARMED)
        self.move(machine, _S.ARMED, _S.STARTED)

    def takes(self, machine: str, text: bytes, name: str = "agent", attempt: int = 1) -> None:
        asyncio.run(self.keeper.take(self.op_id(machine), attempt, name, pack(text)))

    def kept(self) -> list[tuple[str, str]]:
        names = {self.op_id(machine): machine for machine in ("node-01", "node-02")}
        found = self.evidence.of_run(self.run)
        rows = sorted((names[each.op_id], each.name) for files in found.values() for each in files)
        on_disk = sorted(
            (names[path.parent.parent.name], path.name.removesuffix(".zst"))
            for path in self.folder.rglob("*.zst")
        )
        assert rows == on_disk, "each row has its file, and each file its row"
        return rows


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    database = open_database(tmp_path / "rackwright.db")
    fleet = a_fleet(ONE, TWO)
    for machine in (ONE, TWO):
        Machines(database).record_report(machine, a_report(machine, a_disk(machine.name)), NOW)
    made = plan(fleet, observe(database, (ONE, TWO), {"debian12": an_image()}, NOW), NOW)
    run = approve(Ledger(database), made, made.to_apply, "ada", NOW)
    assert run is not None
    folder = tmp_path / "runs"
    yield Site(database, RunEvidence(database, folder), folder, fleet.settings, run.run_id)
    database.close()


def test_a_text_is_kept_in_a_file_for_its_owner_only_and_read_again(site: Site) -> None:
    site.begin("node-01")
    site.takes("node-01", b"first\n")
    site.takes("node-01", b"and last\n")
    ((file,),) = site.evidence.of_run(site.run).values()
    assert site.evidence.text(file) == "and last\n"
    path = site.folder / file.path
    assert path.relative_to(site.folder).parts == (file.op_id, "1", "agent.zst")
    assert [each.stat().st_mode & 0o777 for each in (path, *path.parents[:3])] == [
        0o600,
        0o700,
        0o700,
        0o700,
    ]


def test_a_file_that_is_damaged_or_gone_is_named(site: Site) -> None:
    site.begin("node-01")
    site.takes("node-01", b"text\n")
    ((file,),) = site.evidence.of_run(site.run).values()
    path = site.folder / file.path
    path.write_bytes(pack(b"another\n"))
    with pytest.raises(StateError, match=r"RW960: .*its content is another one than was received"):
        site.evidence.text(file)
    path.unlink()
    with pytest.raises(StateError, match=r"RW960: .*No such file"):
        site.evidence.text(file)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "it is not compressed as it should be"),
        (b"plain text", "it is not compressed as it should be"),
        (pack(bytes(MOST_TEXT + 1)), "its size is not said, or larger than allowed"),
        (pack(b"text")[:-1], "it is not compressed as it should be"),
    ],
)
def test_what_is_no_text_is_not_kept(site: Site, body: bytes, why: str) -> None:
    site.begin("node-01")
    with pytest.raises(ValueError, match=why):
        asyncio.run(site.keeper.take(site.op_id("node-01"), 1, "agent", body))
    assert site.kept() == []


@given(st.binary(max_size=2000))
def test_garbage_is_refused_with_one_kind_of_error(body: bytes) -> None:
    try:
        assert len(unpack(body)) <= MOST_TEXT
    except ValueError:
        return


def test_a_machine_may_send_only_of_the_attempts_that_it_began(site: Site) -> None:
    def refused(attempt: int, name: str = "agent") -> str:
        (status,) = Ledger(site.database).operations(op_id=site.op_id("node-01"))
        with pytest.raises(ReconcilerError) as caught:
            site.keeper.check(status, attempt, name)
        return str(caught.value)

    assert refused(1).startswith("RW578: what the machine sent of a run is not taken: attempt 1")
    site.begin("node-01")
    (status,) = Ledger(site.database).operations(op_id=site.op_id("node-01"))
    site.keeper.check(status, 1, "agent")
    assert "attempt 2 was not begun" in refused(2)
    assert "attempt 0 was not begun" in refused(0)
    assert "'../../x' is no text that is kept of runs" in refused(1, "../../x")
    with pytest.raises(ReconcilerError, match="it is not this machine's operation"):
        site.keeper.check(None, 1, "agent")
    site.move("node-01", _S.STARTED, _S.FAILED)
    (ended,) = Ledger(site.database).operations(op_id=site.op_id("node-01"))
    site.now += GRACE
    site.keeper.check(ended, 1, "agent")
    site.now += timedelta(seconds=1)
    assert "the operation ended at 2026-11-21 12:00:00 UTC" in refused(1)


def test_old_texts_go_but_never_of_an_operation_that_has_not_ended(site: Site) -> None:
    for machine in ("node-01", "node-02"):
        site.begin(machine)
        site.takes(machine, b"text\n")
        site.takes(machine, b"text\n", "dmesg")
    site.move("node-01", _S.STARTED, _S.FAILED)
    site.settings = site.settings._replace(keep_evidence_seconds=20 * 86_400)
    site.now = NOW + timedelta(days=20)
    assert asyncio.run(site.keeper.prune()) == 0
    site.now = LATER
    assert asyncio.run(site.keeper.prune()) == 2
    assert site.kept() == [("node-02", "agent"), ("node-02", "dmesg")]
    assert [path.name for path in site.folder.iterdir()] == [site.op_id("node-02")]


def test_an_unknown_outcome_keeps_its_texts(site: Site) -> None:
    site.begin("node-01")
    site.takes("node-01", b"text\n")
    site.move("node-01", _S.STARTED, _S.INDETERMINATE)
    site.now = NOW + timedelta(days=1000)
    assert asyncio.run(site.keeper.prune()) == 0


def test_above_the_size_the_oldest_go_first(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.server.evidence._AT_ONCE", 2)  # many steps
    for number, machine in enumerate(("node-01", "node-02")):
        site.begin(machine)
        for name in ("agent", "disks", "dmesg"):
            site.now += timedelta(minutes=1)
            site.takes(machine, os.urandom(1000), name)
        site.move(machine, _S.STARTED, _S.FAILED)
        assert number + 1 == len({each for each, _ in site.kept()})
    size = site.evidence.total()
    site.now += 2 * GRACE
    site.settings = site.settings._replace(max_evidence_size=size // 2 + 10)
    assert asyncio.run(site.keeper.prune()) == 3
    assert {machine for machine, _ in site.kept()} == {"node-02"}
    site.settings = site.settings._replace(max_evidence_size=0)
    asyncio.run(site.keeper.prune())
    assert site.kept() == []


def test_an_operation_that_ended_just_now_keeps_its_texts(site: Site) -> None:
    site.begin("node-01")
    site.takes("node-01", b"text\n")
    site.move("node-01", _S.STARTED, _S.FAILED)
    site.settings = site.settings._replace(max_evidence_size=0)
    assert asyncio.run(site.keeper.prune()) == 0


def test_the_log_that_is_meant_is_found_or_what_is_missing_is_said(site: Site) -> None:
    for machine in ("node-01", "node-02"):
        site.begin(machine)
    site.takes("node-01", b"one\n")
    site.takes("node-01", b"two\n", attempt=2)
    operations = MachineHistory(site.database).of_run(site.run)
    evidence = site.evidence.of_run(site.run)

    def file(machine: str, attempt: int | None = None) -> EvidenceFile:
        return chosen_log(operations, evidence, machine, "agent", attempt).file

    assert file("node-01").attempt == 2
    assert file("node-01", 1).attempt == 1
    with pytest.raises(ReconcilerError) as caught:
        file("")
    assert str(caught.value) == (
        "RW958: the run has 2 machines: node-01, node-02. Name one with --machine."
    )
    with pytest.raises(ReconcilerError, match=r"RW958: .* no machine node-03\. It has node"):
        file("node-03")
    with pytest.raises(ReconcilerError, match="RW959: there is no agent of node-02 in this run"):
        file("node-02")
    with pytest.raises(ReconcilerError, match="RW959: there is no agent of attempt 3 of node-01"):
        file("node-01", 3)


def test_a_log_cannot_steer_a_terminal() -> None:
    text = "a\x1b]0;title\x07\r\nb\u202e\tc\n"
    assert list(log_lines(text)) == ["a\\x1b]0;title\\x07", "b\\u202e      c"]


# --- on the machine --------------------------------------------------------------------


def test_secrets_are_taken_out_at_the_source() -> None:
    text = "token=abcdefgh12345678 rackwright.token=other rackwright.pin=AB:CD x\nshort"
    assert redacted(text, ("abcdefgh12345678", "", "short")) == (
        "token=[redacted] rackwright.token=[redacted] rackwright.pin=[redacted] x\nshort"
    )


@given(st.lists(st.text(alphabet="ab\u3042", max_size=30), max_size=60), st.integers(100, 400))
def test_a_long_text_loses_its_middle_and_says_how_much(lines: list[str], most: int) -> None:
    text = "\n".join(lines).encode()
    kept = bounded(text, most)
    assert len(kept) <= most
    if kept != text:
        first, mark, last = kept.partition(b"\n[... ")
        left_out = int(last.partition(b" ")[0])
        last = last.partition(b"here ...]\n")[2]
        assert mark
        assert text.startswith(first)
        assert text.endswith(last)
        assert len(first) + left_out + len(last) == len(text)


def test_no_text_is_larger_than_the_server_takes_when_it_is_packed() -> None:
    assert len(pack(bounded(os.urandom(MOST_TEXT)))) <= MOST_PACKED


def test_disks_are_one_line_each_with_their_partitions_below() -> None:
    assert disks_text([a_disk("S1")], []) == (
        "before the first step\n"
        "  /dev/vda, QEMU HARDDISK, 4294967296 bytes, blank, serial S1, path pci-0000:00:04.0\n"
        "after the last step\n"
        "  none\n"
    )
