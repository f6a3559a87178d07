"""Files of a system that people ask for: listed, read, and brought whole, on a real file system."""

import hashlib
import json
import os
import socket
import stat
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import CodedError, TerminalError
from agent.events import going_on, unfinished
from agent.files.reading import copy_file, list_folder
from agent.files.reading_program import ReadingAnswer, ReadingOrder, answer_in, carry_out
from agent.inspection.logind import UserSession
from agent.journal import Journal, JournalEntry
from agent.notices import MessageWays
from agent.steps.message import show_message_step
from agent.steps.reading import ReadingContext, list_folder_step, read_file_step
from agent.wire.codec import WireError, decode, encode
from agent.wire.listing import MOST_ENTRIES, MOST_LISTING, ListedEntry, Listing
from agent.wire.step import InstallPackages, ListFolder, PlaceFiles, ReadFile, Run, ShowMessage
from agent.wire.work import Work
from reconciler.views.hand_text import listing_lines, shown_name

NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda name: not {0, ord("/")} & set(name) and name not in {b".", b".."}
)


def refusal_of(call, *arguments, **options):
    with pytest.raises(CodedError) as caught:
        call(*arguments, **options)
    return str(caught.value)


def test_every_kind_of_entry_is_told_as_it_is_itself(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "file").chmod(0o4751)
    os.utime(tmp_path / "file", (0, 1_000_000_000))
    (tmp_path / "folder").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe", 0o600)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        listing = list_folder(tmp_path)
    assert (listing.total, listing.is_folder) == (5, True)
    found = {each.name_bytes.decode(): each for each in listing.entries}
    assert {name: each.kind for name, each in found.items()} == {
        "file": "file",
        "folder": "folder",
        "link": "link",
        "pipe": "pipe",
        "socket": "socket",
    }
    file = found["file"]
    assert (file.mode, file.size, file.modified) == (0o4751, 5, 1_000_000_000)
    assert (file.owner, found["link"].target_bytes) == (Path.home().owner(), b"file")
    lines = list(listing_lines(listing))
    assert lines[0].startswith("-rwsr-x--x ")
    assert lines[0].endswith(" 2001-09-09T01:46:40Z file")
    assert lines[2].endswith(" link -> file")
    (only,) = list_folder(tmp_path / "link").entries
    assert only.kind == "link"


def test_of_very_many_entries_the_first_are_told_and_how_many_there_are(tmp_path):
    for number in range(30):
        (tmp_path / f"{number:02}").touch()
    listing = list_folder(tmp_path, most=5)
    assert [each.name_bytes for each in listing.entries] == [b"00", b"01", b"02", b"03", b"04"]
    assert list(listing_lines(listing))[-1] == "… the first 5 of 30"


@given(names=st.sets(NAMES, max_size=20))
def test_names_of_any_bytes_are_listed_and_shown_on_one_line_each(tmp_path_factory, names):
    folder = os.fsencode(tmp_path_factory.mktemp("names"))
    for name in names:
        os.close(os.open(folder + b"/" + name, os.O_CREAT | os.O_WRONLY))
    listing = decode(Listing, encode(list_folder(Path(os.fsdecode(folder)))))
    assert [each.name_bytes for each in listing.entries] == sorted(names)
    lines = list(listing_lines(listing))
    assert len(lines) == len(names)
    assert all(line.isprintable() for line in lines)


@given(one=NAMES, other=NAMES)
def test_different_names_are_shown_differently(one, other):
    assert (shown_name(one) == shown_name(other)) == (one == other)


@given(data=st.binary(max_size=200))
def test_what_is_no_listing_is_an_error_and_nothing_else(data):
    try:
        decode(Listing, data)
    except WireError:
        return
    json.loads(data)


def test_the_longest_listing_fits_what_the_server_takes():
    entry = ListedEntry("ff" * 255, "link", 0o7777, "u" * 32, "g" * 32, 2**63 - 1, -(2**62))
    one = len(encode(evolve(entry, target="ff" * 512)))
    assert MOST_ENTRIES * (one + 1) + 200 < MOST_LISTING


def test_a_file_is_copied_as_it_is_and_its_checksum_is_that_of_the_copy(tmp_path):
    content = os.urandom(2_500_000)
    (tmp_path / "source").write_bytes(content)
    copy = tmp_path / "copy"
    found = copy_file(tmp_path / "source", copy, len(content), follow=False)
    assert found == (hashlib.sha256(content).hexdigest(), len(content))
    assert copy.read_bytes() == content
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_a_file_of_the_kernel_that_says_it_is_empty_is_read_to_its_end(tmp_path):
    digest, size = copy_file(Path("/proc/version"), tmp_path / "copy", 10_000, follow=False)
    assert size > 10
    assert hashlib.sha256((tmp_path / "copy").read_bytes()).hexdigest() == digest
    said = refusal_of(copy_file, Path("/proc/version"), tmp_path / "x", 3, follow=False)
    assert said.startswith("RW286: /proc/version has more than 3 bytes")


def test_what_is_no_regular_file_is_refused_and_no_link_is_followed_unasked(tmp_path):
    (tmp_path / "file").write_bytes(b"secret")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    cases = {
        "none": "RW284: there is no ",
        "file/x": "RW284: there is no ",
        "link": f"RW285: {tmp_path}/link is a symbolic link to file",
        "pipe": f"RW285: {tmp_path}/pipe is a pipe and no regular file",
        ".": f"RW285: {tmp_path} is a folder and no regular file",
    }
    for name, expected in cases.items():
        said = refusal_of(copy_file, tmp_path / name, tmp_path / "copy", 100, follow=False)
        assert said.startswith(expected)
    assert refusal_of(copy_file, Path("/dev/zero"), tmp_path / "copy", 100, follow=True).startswith(
        "RW285: /dev/zero is a device"
    )
    said = refusal_of(copy_file, tmp_path / "file", tmp_path / "copy", 5, follow=False)
    assert said.startswith(f"RW286: {tmp_path}/file has 6 bytes, and 5 are the most")
    assert not (tmp_path / "copy").exists()
    assert copy_file(tmp_path / "link", tmp_path / "copy", 100, follow=True)[1] == 6


class FakeServer:
    """Takes files as a server does."""

    def __init__(self):
        self.files = []

    def bring(self, path, sha256, size):
        content = path.read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (sha256, size)
        self.files.append(content)


def test_the_steps_read_by_a_program_of_their_own_and_leave_nothing_behind(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_bytes(b"content")
    state, server = tmp_path / "state", FakeServer()
    (state / "fetched").mkdir(parents=True)
    (state / "fetched/read").write_bytes(b"of an agent that was ended in the middle")
    context = ReadingContext(state, server.bring, lambda: None)
    result = read_file_step(ReadFile(f"{tmp_path}/folder/file", 100), context)
    assert result == {"sha256": hashlib.sha256(b"content").hexdigest(), "size": "7"}
    again = read_file_step(ReadFile(f"{tmp_path}/folder/file", 100), context)
    assert again == result
    result = list_folder_step(ListFolder(f"{tmp_path}/folder"), context)
    assert (result["entries"], result["total"]) == ("1", "1")
    assert server.files[:2] == [b"content"] * 2
    assert decode(Listing, server.files[2]).entries[0].name_bytes == b"file"
    with pytest.raises(TerminalError, match="RW285"):
        read_file_step(ReadFile(str(tmp_path), 100), context)
    assert [path.name for path in state.rglob("*")] == ["fetched"]


def test_a_program_that_cannot_write_its_copy_says_so(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    answer = carry_out(ReadingOrder(f"{tmp_path}/file", f"{tmp_path}/none/copy", 100))
    assert answer.code == "RW572"


@pytest.mark.parametrize("output", ["", "Killed", '{"size": "1"}', "{}\nTraceback"])
def test_a_program_that_says_nothing_sensible_has_not_answered(output):
    assert answer_in(output) is None
    assert answer_in(f'{output}\n{{"size": 3}}') == ReadingAnswer(size=3)


STEPS = {
    Run(("true",), (0,), 60, 60): False,
    ShowMessage("hello"): False,
    ListFolder("/etc"): True,
    ReadFile("/etc/motd", 100): True,
    PlaceFiles(remove=("/srv/x",)): True,
    InstallPackages(()): True,
}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.STEP_TYPE)
def test_an_agent_that_was_ended_in_a_step_goes_on_only_where_twice_is_harmless(tmp_path, step):
    journal = Journal(tmp_path / "operation.json")
    journal.write(JournalEntry.of(Work("op", 1, (step,)), keeps_work=True))
    assert (going_on(journal) is not None) is STEPS[step]
    if not STEPS[step]:
        assert unfinished(journal).final.code == "RW564"


def test_a_message_says_where_it_was_shown(tmp_path):
    written = []
    alice = UserSession("alice", 1000, "seat0", "tty2", "tty")
    ways = MessageWays(
        sessions=lambda: (alice,), write_to_all=written.append, console=tmp_path / "console"
    )
    (tmp_path / "console").touch()
    result = show_message_step(ShowMessage("Down\x1b at 18:00"), ways)
    assert json.loads(result["shown"]) == ["alice on tty2", "the console"]
    assert written == ["Down at 18:00"]
