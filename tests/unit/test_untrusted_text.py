"""Text that machines, images and racks give is shown as it is, whatever is in it."""

from io import StringIO

import pytest
from builders.world import NOW, a_disk, a_fleet, a_machine, a_status, an_image, observed, ramdisk
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from agent.wire.imaged_system import ImagedSystem, Obstacle
from providers.imaging.image_record import ImageEntry
from providers.lab.status import MachineStatus, RackStatus
from reconciler.cli.lab import rack_table
from reconciler.planning.approvals import Subject
from reconciler.planning.item import Risk
from reconciler.planning.planner import plan
from reconciler.state.approval_records import ApprovalRequest
from reconciler.state.operation_states import OperationState
from reconciler.views.approval_text import subject_parts
from reconciler.views.image_text import image_table
from reconciler.views.progress import progress_view
from reconciler.views.untrusted import for_terminal

HOSTILE = ["[/dev/sda]", "[bold]x", "[link=http://x]y[/link]", "\x1b]0;title\x07", "\u202egnp.exe"]


def printed(renderable):
    screen = Console(file=StringIO(), width=1000, color_system=None, highlight=False)
    screen.print(renderable)
    return screen.file.getvalue()


def image(text):
    entry = ImageEntry(
        name=text,
        digest="d" * 64,
        created=NOW.isoformat(),
        disk_size=1,
        used_bytes=1,
        stored_bytes=1,
        sector_size=512,
        restore_test="failed",
        problem=text,
        system=ImagedSystem(text, "1", "", "", (Obstacle(text, text, text),)),
    )
    return image_table([entry], NOW, {})


def rack(text):
    machine = MachineStatus(text, "bios", "on", "52:54:00:77:00:01", text, text, 1.0, text)
    return rack_table(RackStatus(text, "10.77.0.254/24", "kvm", (machine,)))


@pytest.mark.parametrize("view", [image, rack])
@given(text=st.text(max_size=40) | st.sampled_from(HOSTILE))
def test_no_table_lets_text_steer_the_terminal(view, text):
    for line in printed(view(text)).split("\n"):
        assert line.isprintable() or not line


@pytest.mark.parametrize("text", HOSTILE[:3])
def test_progress_shows_brackets_as_they_are(text, monkeypatch):
    machine = a_machine(1, "clone-golden")
    world = observed({machine.name: ramdisk(machine, a_disk())}, (an_image(),))
    operation = plan(a_fleet(machine), world, NOW).items[0].operation
    failed = a_status(operation, OperationState.FAILED, reason=text)
    for is_terminal in (True, False):
        screen = Console(file=StringIO(), width=200, force_terminal=is_terminal, color_system=None)
        monkeypatch.setattr("reconciler.views.progress.console", lambda screen=screen, **_: screen)
        with progress_view("text") as show:
            show([failed], NOW, {})
        assert text in screen.file.getvalue()


@pytest.mark.parametrize("text", ["計算ノード 七", *HOSTILE[:3], "\x1b[2J"])
def test_what_people_call_a_machine_is_shown_as_it_is_where_it_is_approved(text):
    machine = a_machine(1, "clone-golden")
    world = observed({machine.name: ramdisk(machine, a_disk())}, (an_image(),))
    operation = plan(a_fleet(machine), world, NOW).items[0].operation
    request = ApprovalRequest("d" * 64, "apply", "f00d", "", NOW, "")
    subject = Subject(request, ((operation, Risk.DESTRUCTIVE),))
    shown = "".join(map(printed, subject_parts(subject, {machine.name: text})))
    assert f"{for_terminal(text)} ({machine.name})" in shown
    assert "\x1b" not in shown
