"""Commands, files and messages by hand: what is planned, whether it lapses, what is shown of it."""

import shlex
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web
from attrs import evolve
from builders.world import NOW, a_report, an_installed_system, observed
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from agent.wire.files import PlacedFile
from agent.wire.listing import MOST_LISTING
from agent.wire.step import ListFolder, PlaceFiles, ReadFile, Run, ShowMessage
from agent.wire.work import Work
from providers.content.store import ContentStore
from reconciler.app import inline_work
from reconciler.errors import ReconcilerError
from reconciler.git.other_files import no_files
from reconciler.planning.approval_lapse import why_lapsed
from reconciler.planning.approvals import Subject
from reconciler.planning.by_hand import plan_by_hand
from reconciler.planning.item import Risk
from reconciler.planning.system_work import why_too_old
from reconciler.server.machine_files import MachineFiles, most_of
from reconciler.server.work_content import WorkContent
from reconciler.state.approval_records import ApprovalRequest
from reconciler.state.hand_results import Folded, MachineResult, asked_for, folded, results
from reconciler.state.hardware import FleetHardware
from reconciler.state.ledger import LedgerEntry
from reconciler.state.machine_history import PastOperation, StepTiming
from reconciler.state.observed import ObservedMachine, TimedReport
from reconciler.state.operation_states import OperationState
from reconciler.state.operations import placed_content
from reconciler.views.approval_text import subject_parts
from reconciler.views.hand_text import result_document, result_lines
from specs.compile.fleet import compile_fleet
from specs.diagnostics.position import COMMAND_LINE
from specs.fleet import CompiledHold

_S = OperationState
RUN = "by-hand/20261121-120000-abcd"
DOCUMENTS = b"""\
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {name: n}
spec: {subnet: 10.0.0.0/24}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {name: lab}
spec: {network: n}
---
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {name: m}
spec: {group: lab, protect: true, hardware: {macs: ["02:00:00:00:00:01"]}}
"""
FLEET = compile_fleet({"f.yaml": DOCUMENTS}, "r").fleet
MACHINE = FLEET.machines["m"]
HOLD = CompiledHold("freeze", NOW + timedelta(hours=1), "ops", "audit", COMMAND_LINE)
SHA256 = "ab" * 32


def item_of(scenario, version="9.0", fleet=FLEET):
    report = evolve(
        a_report(MACHINE, installed=an_installed_system(MACHINE, "")), agent_version=version
    )
    seen = ObservedMachine(installed=TimedReport(report, NOW), installed_contact=NOW, read_at=NOW)
    hardware = FleetHardware(fleet.machines.values())
    machines = fleet.machines.values()
    plan = plan_by_hand(fleet, machines, scenario, RUN, hardware, observed({"m": seen}), NOW)
    (item,) = plan.items
    return item


SCENARIOS = {
    "exec": (
        inline_work.command(("ls", "-l", "a b"), "90s", in_session=False),
        (Risk.DISRUPTIVE, Run(("ls", "-l", "a b"), (0,), 90, 600)),
        "runs `ls -l 'a b'`",
    ),
    "rm": (
        inline_work.removal(("/srv/x", "/srv/y")),
        (Risk.DISRUPTIVE, PlaceFiles(remove=("/srv/x", "/srv/y"))),
        "removes /srv/x and removes /srv/y",
    ),
    "put": (
        inline_work.placing("/etc/motd", SHA256, 3, {"owner": "root", "group": "", "mode": "640"}),
        (
            Risk.SAFE,
            PlaceFiles(files=(PlacedFile("/etc/motd", "file", 0o640, "root", "", SHA256, 3),)),
        ),
        f"brings /etc/motd (mode 0640, owner root, SHA-256 {SHA256})",
    ),
    "ls": (inline_work.listing("/etc"), (Risk.SAFE, ListFolder("/etc")), "lists /etc"),
    "get": (
        inline_work.reading("/etc/motd", follow=True, most=100),
        (Risk.SAFE, ReadFile("/etc/motd", 100, follow=True)),
        "reads /etc/motd and follows links",
    ),
    "message": (
        inline_work.message("Down at 18:00"),
        (Risk.SAFE, ShowMessage("Down at 18:00")),
        "shows “Down at 18:00”",
    ),
}


@pytest.mark.parametrize(("scenario", "expected", "asked"), SCENARIOS.values(), ids=SCENARIOS)
def test_what_is_asked_for_by_hand_is_planned_as_work_of_the_installed_system(
    scenario, expected, asked
):
    item = item_of(scenario)
    operation = item.operation
    assert (item.risk, *operation.instructions.steps) == expected
    assert (operation.kind, operation.run, operation.is_inline) == ("service", RUN, True)
    assert operation.is_by_hand
    assert asked_for(operation) == asked


def test_another_command_is_another_operation():
    one, two = (
        item_of(inline_work.command((each,), "5m", in_session=False)) for each in ("true", "false")
    )
    assert one.operation.op_id != two.operation.op_id


def test_a_held_machine_is_blocked_and_a_protected_one_is_not():
    held = replace(FLEET, holds=(HOLD,), machines={"m": replace(MACHINE, holds=("freeze",))})
    scenario = SCENARIOS["exec"][0]
    assert item_of(scenario, fleet=held).risk is Risk.BLOCKED
    assert item_of(scenario).risk is Risk.DISRUPTIVE


def test_no_document_takes_the_approval_back_but_a_hold_or_the_machines_removal():
    operation = item_of(SCENARIOS["exec"][0]).operation

    def lapsed(fleet=FLEET, machine=MACHINE):
        return why_lapsed(fleet, machine, ObservedMachine(), {}, operation, NOW)

    assert lapsed() == ""
    assert lapsed(replace(FLEET, revision="other", scenarios={})) == ""
    assert lapsed(machine=None) == "no document, or more than one, has the hardware now"
    held = replace(MACHINE, holds=("freeze",))
    assert "held by ops" in lapsed(replace(FLEET, holds=(HOLD,)), held)


def test_an_agent_that_is_too_old_is_named_with_the_version_that_can():
    for name in ("ls", "get", "message"):
        item = item_of(SCENARIOS[name][0], version="0.2.0")
        assert item.risk is Risk.BLOCKED
        assert "agents from 0.3.0 on can" in item.reason
    assert item_of(SCENARIOS["exec"][0], version="0.2.0").risk is Risk.DISRUPTIVE
    assert not why_too_old("0.3.0", [ListFolder("/"), ReadFile("/", 1), ShowMessage("x")])


WRONG = {
    "an argument of several lines": (
        lambda: inline_work.command(("sh", "-c", "a\nb"), "5m", in_session=False),
        'command: "sh',
    ),
    "no unit": (
        lambda: inline_work.command(("ls",), "5", in_session=False),
        'timeout: "5" has no unit',
    ),
    "too long": (
        lambda: inline_work.command(("ls",), "8w", in_session=False),
        "timeout: 8w is not between 1s and 1w",
    ),
    "a relative path": (lambda: inline_work.listing("etc"), "'etc' is not an absolute path"),
    "dots": (
        lambda: inline_work.removal(("/etc/../x",)),
        'remove: "/etc/../x" is not a place on a machine',
    ),
    "a Windows path": (
        lambda: inline_work.reading(r"C:\x", follow=False, most=1),
        r"'C:\\x' is not an absolute path",
    ),
    "a mode": (
        lambda: inline_work.placing("/x", SHA256, 0, {"mode": "rw"}),
        'mode: "rw" is not a file mode',
    ),
    "an owner": (
        lambda: inline_work.placing("/x", SHA256, 0, {"owner": " a"}),
        'owner: " a" begins or ends with a space',
    ),
    "an empty message": (lambda: inline_work.message("  "), "TEXT: a message is one line"),
    "a long message": (lambda: inline_work.message("x" * 501), "TEXT: a message is one line"),
    "a message that steers": (lambda: inline_work.message("a\x1b[2J"), "TEXT: a message is one"),
    "no such file": (
        lambda: inline_work.stored(None, Path("/nowhere/motd")),
        "LOCAL: /nowhere/motd cannot be read: No such file",
    ),
    "a size": (lambda: inline_work.size_of("100"), '--max-size: "100" has no unit'),
}


@pytest.mark.parametrize(("call", "expected"), WRONG.values(), ids=WRONG)
def test_what_a_step_would_not_take_is_refused_with_a_hint(call, expected):
    with pytest.raises(ReconcilerError) as caught:
        call()
    assert caught.value.code == "RW249"
    if not expected.startswith('command: "sh'):
        assert caught.value.cause.startswith(expected)
    assert caught.value.action[0].isupper()
    assert len(caught.value.action) > 10


def test_the_name_of_several_machines_is_refused_where_one_is_looked_at():
    other = replace(MACHINE, name="m2")
    fleet = replace(FLEET, machines={"m": MACHINE, "m2": other})
    inline_work.require_one(fleet, "m")
    with pytest.raises(ReconcilerError, match=r"RW249: MACHINE: name=m\* means 2 machines"):
        inline_work.require_one(fleet, "name=m*")


def a_result(machine, said="exit 0", output="", state=_S.VERIFIED, **more):
    return MachineResult(machine, f"op-{machine}", state, said, output=output, **more)


def test_equal_results_are_said_once_the_most_frequent_first_and_failures_last():
    found = [
        a_result("c", "exit 3", "no\n", _S.FAILED),
        a_result("e", "exit 3", "no\n", _S.FAILED),
        a_result("f", "exit 3", "no\n", _S.FAILED),
        a_result("d", output="b\n"),
        a_result("a", output="a\tb\n\x1b[2Jx\n"),
        a_result("b", output="a\tb\n\x1b[2Jx\n"),
    ]
    assert list(result_lines(folded(found), 80)) == [
        "2 machines: exit 0",
        "  a, b",
        "    a       b",
        "    \\x1b[2Jx",
        "",
        "d: exit 0",
        "    b",
        "",
        "3 machines: exit 3",
        "  c, e, f",
        "    no",
    ]


def test_of_many_machines_some_are_named_and_lines_fit_the_screen():
    found = [a_result(f"machine-{number:03}", is_cut=True) for number in range(31)]
    lines = list(result_lines(folded(found), 60))
    assert lines[0] == "31 machines: exit 0"
    assert " ".join(" ".join(lines).split()).count("machine-011 and 19 more") == 1
    assert lines[-1] == "    (only the end of the output is kept)"
    assert max(map(len, lines)) <= 60


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["exit 0", "exit 1"]), st.sampled_from(["", "a", "b"]), st.booleans()
        ),
        max_size=30,
    )
)
def test_folding_loses_no_machine_and_puts_none_with_another_result(found):
    every = [
        a_result(f"m{number:02}", said, output, _S.VERIFIED if good else _S.FAILED)
        for number, (said, output, good) in enumerate(found)
    ]
    groups = folded(every)
    assert sorted(name for each in groups for name in each.machines) == [
        each.machine for each in every
    ]
    by_name = {each.machine: each for each in every}
    for each in groups:
        assert isinstance(each, Folded)
        for name in each.machines:
            mine = by_name[name]
            assert (mine.said, mine.output, mine.state) == (
                each.result.said,
                each.result.output,
                each.result.state,
            )
    assert len({(g.result.said, g.result.output, g.result.state) for g in groups}) == len(groups)


def test_a_result_as_data_has_what_the_machine_brought():
    document = result_document(a_result("m", "read", sha256=SHA256, size=7))
    assert (document["machine"], document["sha256"], document["size"]) == ("m", SHA256, 7)
    assert "sha256" not in result_document(a_result("m"))


# --- what the server does ---------------------------------------------------------


def test_a_file_that_a_person_gave_goes_to_the_agent_as_it_was_planned(tmp_path):
    store = ContentStore(tmp_path)
    sha256 = store.put(b"new", keep_free=0)
    (step,) = item_of(
        inline_work.placing("/etc/motd", sha256, 3, {"mode": "0644"})
    ).operation.instructions.steps
    content = WorkContent(store, no_files)
    assert content.complete(Work("op", 1, (step,)), "r").steps == (step,)
    store.path(sha256).unlink()
    with pytest.raises(ReconcilerError, match="RW248: the server does not have the content of"):
        content.complete(Work("op", 1, (step,)), "r")


def test_whoever_approves_reads_all_of_the_command():
    argv = ("sh", "-c", "x" * 2000 + "; reboot")
    operation = item_of(inline_work.command(argv, "5m", in_session=False)).operation
    request = ApprovalRequest("d" * 64, "run", "r", "", NOW, "to try it")
    parts = subject_parts(Subject(request, ((operation, Risk.DISRUPTIVE),)))
    screen = Console(width=100_000, file=StringIO())
    for part in parts:
        screen.print(part)
    assert f"runs `{shlex.join(argv)}`" in screen.file.getvalue()


def a_past(operation, state, reason, **found):
    line = LedgerEntry(state, 1, NOW, "m", reason)
    return PastOperation(operation, (line,), (StepTiming(1, 0, NOW, NOW, 0, found),))


def test_what_became_of_a_command_is_said_in_a_few_words():
    operation = item_of(SCENARIOS["exec"][0]).operation
    cases = {
        (_S.VERIFIED, "all steps are done", "0"): ("exit 0", 0),
        (_S.FAILED, "RW590: `x` ended with status 3; it wrote last: no", "3"): ("exit 3", 3),
        (_S.FAILED, "RW590: `x` ended with signal 9", "-9"): ("ended by signal 9", -9),
        (_S.FAILED, "RW591: `x` did not end within 5 s; it wrote last: a", None): (
            "failed: RW591: `x` did not end within 5 s",
            None,
        ),
        (_S.FAILED, "RW564: the agent was started again", None): (
            "failed: RW564: the agent was started again",
            None,
        ),
        (_S.CANCELLED, "ada: no", "0"): ("cancelled: ada: no", 0),
        (_S.VERIFIED, "", "٣"): ("done", None),
    }
    for (state, reason, status), expected in cases.items():
        found = {"output": "a", **({} if status is None else {"status": status})}
        (result,) = results([a_past(operation, state, reason, **found)])
        assert (result.said, result.status) == expected
        assert (result.output, result.is_good) == ("a", state is _S.VERIFIED)


def test_what_became_of_files_and_messages_is_said():
    def said(name, **found):
        (result,) = results(
            [a_past(item_of(SCENARIOS[name][0]).operation, _S.VERIFIED, "", **found)]
        )
        return result.said

    assert said("put", placed="1", unchanged="0", removed="0") == "placed"
    assert said("put", placed="0", unchanged="1", removed="0") == "it was so already"
    assert said("rm", placed="0", unchanged="0", removed="1") == "removed 1 of 2"
    assert said("message", shown='["alice on tty2", "the console"]') == (
        "shown: alice on tty2, the console"
    )
    for nobody in ("[]", "{}", "", "[1]"):
        assert said("message", shown=nobody) == "nobody can have seen it"


def test_content_that_work_still_brings_is_not_swept():
    def a_status(scenario):
        return SimpleNamespace(operation=item_of(scenario).operation)

    waiting = (a_status(SCENARIOS["put"][0]), a_status(SCENARIOS["exec"][0]))
    asked = []
    operations = SimpleNamespace(current=lambda states: asked.append(states) or waiting)
    assert placed_content(operations) == {SHA256}
    assert asked[0] >= {_S.PLANNED, _S.APPROVED, _S.ARMED, _S.STARTED}


class FakeUpload:
    """A request whose body is there at once."""

    def __init__(self, data, size=-1):
        self.content_length = len(data) if size == -1 else size
        self.content = SimpleNamespace(iter_chunked=self._pieces)
        self._data = data

    async def _pieces(self, size):
        for start in range(0, len(self._data), size):
            yield self._data[start : start + size]


CONTENT = b"c" * 300_000


async def taken(files, name, data, sha256, size=-1):
    """Return the status with which an upload is answered; 204 where it is taken."""
    operation = item_of(SCENARIOS[name][0]).operation
    try:
        await files.take(FakeUpload(data, size), operation, sha256)
    except web.HTTPException as refusal:
        return refusal.status
    return 204


async def test_only_what_the_operation_reads_is_taken_in_and_only_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("reconciler.server.machine_files.KEEP_FREE", 0)
    files = MachineFiles(tmp_path, lambda: NOW)
    sha256 = ContentStore(tmp_path / "other").put(CONTENT, keep_free=0)
    assert await taken(files, "exec", b"x", SHA256) == 422
    assert await taken(files, "get", CONTENT, sha256) == 422  # 100 bytes are read
    assert await taken(files, "ls", CONTENT, SHA256) == 422  # another checksum
    assert await taken(files, "ls", CONTENT, "../x") == 422
    assert await taken(files, "ls", CONTENT, sha256, None) == 422
    assert not files.store.has(sha256)
    assert await taken(files, "ls", CONTENT, sha256) == 204
    assert await taken(files, "ls", CONTENT, sha256) == 204  # again: harmless
    assert files.store.read(sha256, len(CONTENT)) == CONTENT
    assert most_of(item_of(SCENARIOS["ls"][0]).operation) == MOST_LISTING
