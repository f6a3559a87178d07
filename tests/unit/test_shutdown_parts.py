"""What is in the way of a shutdown, how people are told, and what they answer: the parts."""

import fcntl
import json
import os
import pwd
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import Clock
from agent.commands.busctl import call_arguments, parse_reply
from agent.commands.notify_send import notify_arguments
from agent.errors import CodedError, CommandError, EndedError, TerminalError, TransientError
from agent.inspection.host_paths import HostPaths
from agent.inspection.logind import (
    Inhibitor,
    UserSession,
    parse_inhibitors,
    parse_session,
    session_paths,
)
from agent.inspection.package_locks import PackageLock, package_locks, parse_locks
from agent.journal import Journal
from agent.main import main
from agent.notices import MessageWays, show_message
from agent.plain_text import plain_text
from agent.shutdown.blockers import Blocker, blockers_of
from agent.shutdown.control import ControlSocket, Request, ask, parse_request
from agent.shutdown.local_commands import parse_duration
from agent.shutdown.pending import PendingShutdown, PoliteWays, ShutdownResources
from agent.wire.power import PowerPolicy
from agent.wire.step import Finish
from agent.wire.work import Work

ALICE = Blocker("alice is logged in on pts/0", os.getuid())

# --- what the login manager says -----------------------------------------------------

# As systemd 247.3, 252.39 and 257.13 print it of the same login on a pseudo-terminal and the same
# two inhibitors.
LISTED = {
    247: '{"type":"a(susso)","data":[[["1",1000,"alice","",'
    '"/org/freedesktop/login1/session/_31"]]]}',
    257: '{"type":"a(susso)","data":[[["c1",1000,"alice","","/org/freedesktop/login1/session/c1"],'
    '["c2",1000,"alice","","/org/freedesktop/login1/session/c2"]]]}',
}
SESSION_247 = (
    '{"type":"a{sv}","data":[{"Id":{"type":"s","data":"1"},"User":{"type":"(uo)","data":[1000,'
    '"/org/freedesktop/login1/user/_1000"]},"Name":{"type":"s","data":"alice"},"Timestamp":{"type":'
    '"t","data":1795953296663137},"VTNr":{"type":"u","data":0},"Seat":{"type":"(so)","data":["","/"]'
    '},"TTY":{"type":"s","data":"pts/0"},"Display":{"type":"s","data":""},"Remote":{"type":"b",'
    '"data":false},"RemoteHost":{"type":"s","data":""},"Service":{"type":"s","data":"login"},"Type":'
    '{"type":"s","data":"tty"},"Class":{"type":"s","data":"user"},"Active":{"type":"b","data":true},'
    '"State":{"type":"s","data":"active"},"IdleHint":{"type":"b","data":false},"IdleSinceHint":'
    '{"type":"t","data":1795953296626045},"LockedHint":{"type":"b","data":false}}]}'
)
INHIBITORS = (
    '{"type":"a(ssssuu)","data":[[["shutdown","Unattended Upgrades Shutdown","Stop ongoing '
    'upgrades or perform upgrades before shutdown","delay",0,79],["shutdown:sleep","Burn  Tool",'
    '"writes a disc; 50 % done","block",0,78]]]}'
)


def properties(**changes):
    """Return the properties of the session above with some values changed."""
    (found,) = parse_reply(SESSION_247.encode())
    return [{**found, **{name: {"type": "?", "data": value} for name, value in changes.items()}}]


def test_sessions_of_all_versions_are_found():
    assert session_paths(parse_reply(LISTED[247].encode())) == (
        "/org/freedesktop/login1/session/_31",
    )
    assert len(session_paths(parse_reply(LISTED[257].encode()))) == 2
    assert parse_session(properties()) == UserSession("alice", 1000, "", "pts/0", "tty")


@pytest.mark.parametrize(
    ("session_class", "counts"),
    [
        ("user", True),
        ("user-early", True),
        ("user-light", True),
        ("user-incomplete", False),
        ("greeter", False),
        ("lock-screen", False),
        ("background", False),
        ("manager", False),
        ("manager-early", False),
        ("none", False),
    ],
)
def test_only_sessions_of_persons_count(session_class, counts):
    assert (parse_session(properties(Class=session_class)) is not None) is counts


def test_who_has_logged_out_and_left_processes_does_not_count():
    assert parse_session(properties(State="closing")) is None


def test_where_a_person_is_and_since_when_idle_is_read():
    desktop = parse_session(
        properties(
            Seat=["seat0", "/x"],
            TTY="tty2",
            Type="wayland",
            IdleHint=True,
            IdleSinceHint=1_000_000_000,
        )
    )
    assert (desktop.place, desktop.is_graphical) == ("seat0 (tty2)", True)
    assert desktop.idle_since == 1000.0
    remote = parse_session(properties(RemoteHost="10.20.0.4"))
    assert (remote.place, remote.is_graphical) == ("pts/0 from 10.20.0.4", False)


def test_inhibitors_with_blanks_in_their_names_are_told_apart():
    delays, blocks = parse_inhibitors(parse_reply(INHIBITORS.encode()))
    assert blocks == Inhibitor(
        ("shutdown", "sleep"), "Burn Tool", "writes a disc; 50 % done", "block", 78
    )
    assert (delays.blocks_shutdown, blocks.blocks_shutdown) == (False, True)
    assert evolve(blocks, mode="block-weak").blocks_shutdown
    assert not evolve(blocks, what=("sleep",)).blocks_shutdown


@pytest.mark.parametrize(
    "output",
    [b"", b"null", b"[]", b'{"data":{}}', b'{"type":"s"}', b"\xff", b"[" * 100_000],
)
def test_an_answer_of_another_form_has_a_code(output):
    with pytest.raises(TerminalError, match=r"^RW245: the login manager's answer cannot be"):
        session_paths(parse_reply(output))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.lists(_JSON, max_size=2))
def test_whatever_is_answered_raises_one_error_only(values):
    for read in (session_paths, parse_session, parse_inhibitors):
        try:
            read(values)
        except TerminalError as error:
            assert error.code == "RW245"  # noqa: PT017 - of many


@given(st.dictionaries(st.sampled_from(["Class", "User", "Seat", "TTY", "IdleHint"]), _JSON))
def test_odd_properties_raise_one_error_only(changed):
    try:
        parse_session(properties(**changed))
    except TerminalError as error:
        assert error.code == "RW245"  # noqa: PT017 - of many


def test_calls_are_lists_of_arguments():
    assert call_arguments("s", "/p", "i", "M", "s", "x") == [
        *("busctl", "--system", "--json=short", "--", "call"),
        *("s", "/p", "i", "M", "s", "x"),
    ]


def test_what_is_in_the_way_is_said_in_words():
    sessions = [
        UserSession("alice", 1000, "seat0", "tty2", "wayland", idle_since=2800.0),
        UserSession("bob", 1001, "", "pts/0", "tty"),
    ]
    blocking = Inhibitor(("shutdown",), "Burn Tool", "writes a disc", "block", 78)
    locks = [PackageLock("apt-get", 4711, Path("/var/lib/dpkg/lock-frontend"))]
    found = blockers_of(sessions, [blocking, evolve(blocking, mode="delay")], locks, 10_000.0)
    assert [(each.text, each.uid) for each in found] == [
        ("alice is logged in on seat0 (tty2), idle for 2 h", 1000),
        ("bob is logged in on pts/0", 1001),
        ("Burn Tool (process 78) inhibits it: writes a disc", None),
        ("apt-get (process 4711) is updating packages (lock-frontend)", None),
    ]


# --- updates -------------------------------------------------------------------------


@pytest.fixture
def host(tmp_path):
    """A system of files, with the processes of this kernel."""
    for name in ("var/lib/dpkg", "run", "var/lib/rpm"):
        (tmp_path / name).mkdir(parents=True)
    return HostPaths(root=tmp_path)


def test_a_lock_of_dpkg_is_found_with_the_process_that_holds_it(host):
    path = host.root / "var/lib/dpkg/lock-frontend"
    other = host.root / "var/lib/rpm/.rpm.lock"
    other.touch()
    assert package_locks(host) == ()
    program = (
        "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.lockf(file, fcntl.LOCK_EX);"
        "print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"locked\n"
        (found,) = package_locks(host)
        assert (found.pid, found.path) == (holder.pid, path)
        assert found.program == Path(f"/proc/{holder.pid}/comm").read_text("utf-8").strip()
        holder.stdin.close()
    assert package_locks(host) == ()


def test_a_lock_of_an_open_file_description_counts_without_a_process(host):
    path = host.root / "var/lib/rpm/.rpm.lock"
    with path.open("w") as file:
        # struct flock of fcntl(2) on Linux: type, whence, start, length, process
        lock = __import__("struct").pack("hhqqi", fcntl.F_WRLCK, 0, 0, 0, 0)
        fcntl.fcntl(file, 37, lock)  # F_OFD_SETLK
        assert package_locks(host) == (PackageLock("a process", 0, path),)


def test_a_file_with_a_process_id_counts_only_while_that_program_runs(host, tmp_path):
    pid = host.root / "run/zypp.pid"
    pid.write_text(f"{os.getpid()}\n", "ascii")
    assert package_locks(host) == ()
    proc = tmp_path / "proc"
    (proc / "4711").mkdir(parents=True)
    (proc / "4711/comm").write_text("zypper\n", "ascii")
    pid.write_text("4711\n", "ascii")
    found = package_locks(HostPaths(root=host.root, proc=proc))
    assert found == (PackageLock("zypper", 4711, pid),)


def test_locks_that_are_waited_for_or_only_read_do_not_count():
    text = """\
1: POSIX  ADVISORY  WRITE 4711 fe:00:131 0 EOF
1: -> POSIX  ADVISORY  WRITE 4712 fe:00:131 0 EOF
2: FLOCK  ADVISORY  READ 4713 fe:00:132 0 EOF
3: OFDLCK ADVISORY  WRITE -1 00:2f:133 0 EOF
4: what is this
"""
    assert list(parse_locks(text)) == [(4711, 131), (0, 133)]


@given(st.text())
def test_no_text_stops_the_reading_of_locks(text):
    assert all(pid >= 0 for pid, _ in parse_locks(text))


# --- telling people ------------------------------------------------------------------


@given(st.text(), st.integers(1, 50))
def test_what_is_shown_is_one_bounded_printable_line(text, most):
    shown = plain_text(text, most)
    assert len(shown) <= most
    assert shown.isprintable()
    assert shown == shown.strip()


def test_letters_of_all_scripts_stay_and_what_acts_on_terminals_goes():
    assert plain_text("再起動\x1b]0;title\x07 \u202e\u009b31m\n今") == "再起動 ]0;title 31m 今"
    assert plain_text("x" * 600) == "x" * 499 + "…"


def test_a_notification_is_sent_as_the_person():
    assert notify_arguments("alice", 1000, "--help \x1b[2J", "critical") == [
        *("runuser", "-u", "alice", "--", "env"),
        "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus",
        *("notify-send", "--urgency=critical", "--app-name=Rackwright", "--", "Rackwright"),
        "--help [2J",
    ]


class FakeWays:
    """Ways to people, of which some are broken."""

    def __init__(self, tmp_path, broken=()):
        self.broken = broken
        self.seen = []
        self.console = tmp_path / "console"
        if "console" not in broken:
            self.console.touch()
        self.ways = MessageWays(self.sessions, self.wall, self.notify, self.console)

    def sessions(self):
        if "sessions" in self.broken:
            raise CommandError(["busctl"], "ended with status 1", "no bus")
        return (
            UserSession("alice", 1000, "seat0", "tty2", "wayland"),
            UserSession("alice", 1000, "seat0", "tty3", "x11"),
            UserSession("bob", 1001, "", "pts/0", "tty"),
        )

    def wall(self, text):
        if "wall" in self.broken:
            raise CommandError(["wall"], "ended with status 1", "")
        self.seen.append(("wall", text))

    def notify(self, user, uid, text, urgency):
        if "notify" in self.broken:
            raise CommandError(["runuser"], "ended with status 1", "")
        self.seen.append((user, uid, text, urgency))


def test_all_ways_are_used_and_who_got_it_is_returned(tmp_path):
    fake = FakeWays(tmp_path)
    shown = show_message("Save\x1b[2J your\nwork", fake.ways, "critical")
    assert shown == ("bob on pts/0", "the console", "alice's desktop")
    assert fake.seen == [
        ("wall", "Save [2J your work"),
        ("alice", 1000, "Save [2J your work", "critical"),
    ]
    assert fake.console.read_bytes() == b"\r\nRackwright: Save [2J your work\r\n"


@pytest.mark.parametrize(
    ("broken", "shown"),
    [
        (("wall",), ("the console", "alice's desktop")),
        (("console", "notify"), ("bob on pts/0",)),
        (("sessions",), ("the console",)),
        (("wall", "console", "notify", "sessions"), ()),
    ],
)
def test_a_way_that_is_broken_keeps_no_other_from_being_used(tmp_path, broken, shown):
    assert show_message("Hello", FakeWays(tmp_path, broken).ways) == shown


# --- what people say -----------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b'{"command": "reboot"}',
        b'{"command": "postpone", "seconds": -1}',
        b'{"command": "postpone", "seconds": true}',
        b'{"command": "postpone", "seconds": 1e9}',
        b"\xff\x00",
    ],
)
def test_a_request_of_another_form_is_refused(line):
    with pytest.raises(TerminalError, match=r"^RW243: the request was not understood"):
        parse_request(line)


@given(st.binary(max_size=200))
def test_no_request_breaks_the_agent(line):
    try:
        parse_request(line)
    except TerminalError as error:
        assert error.code == "RW243"  # noqa: PT017 - of many


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1h", 3600), ("2d", 172_800)]
)
def test_lengths_of_time_are_read(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0m", "10", "-5m", "1h30m", "1e3s", "\u0661hx", "9" * 30])
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(TerminalError, match=r"^RW246: .* is no length of time"):
        parse_duration(text)


class FakePeople:
    """People who are in the way as the test says."""

    def __init__(self, *blockers):
        self.there = blockers
        self.told = []
        self.looked = threading.Event()

    def blockers(self):
        self.looked.set()
        return self.there

    def tell(self, text, urgency):
        self.told.append((text, urgency))
        return ("bob on pts/0",)


class Bench:
    """A pending shutdown with a server that keeps what it hears, and recorded power."""

    def __init__(self, tmp_path, *blockers, policy=None):
        self.people = FakePeople(*blockers)
        self.events, self.left = [], []
        self.refuse = None
        self.journal = Journal(tmp_path / "operation.json")
        self.socket = tmp_path / "run/shutdown.sock"
        self.now = 0.0
        self.policy = policy or PowerPolicy(grace=300, countdown=30, postponable=3600)
        ways = PoliteWays(self.people, self.socket, look_seconds=0.01)
        clock = Clock(monotonic=lambda: self.now, pause=lambda _: None)
        self.pending = PendingShutdown(
            self.work("power-nightly-1"),
            "reboot",
            ShutdownResources(self.send, self, self.journal, clock, ways),
        )

    def work(self, operation, attempt=1):
        return Work(operation, attempt, (Finish("reboot"),), power=self.policy)

    def send(self, operation, event):
        if self.refuse is not None:
            raise self.refuse
        self.events.append((operation, event.kind, event.code, event.message))

    def reboot(self):
        self.left.append("reboot")

    def poweroff(self):
        self.left.append("poweroff")

    def start(self):
        self.pending.start()
        self.look()

    def look(self):
        """Wait until the thread has looked and acted twice since now."""
        for _ in range(3):
            self.people.looked.clear()
            self.now += 0.02
            assert self.people.looked.wait(5) or self.pending.seconds_left() == 0.0

    def until(self, condition):
        for _ in range(2000):
            if condition():
                return
            threading.Event().wait(0.005)
        raise AssertionError("it did not happen")

    def leaves(self):
        self.until(lambda: self.pending.seconds_left() == 0.0)
        return self.pending.turn()


@pytest.fixture
def bench(tmp_path):
    found = []

    def make(*blockers, policy=None):
        found.append(Bench(tmp_path, *blockers, policy=policy))
        return found[-1]

    yield make
    for each in found:
        each.pending.call_off("the test is over")


def test_a_system_without_people_leaves_and_the_server_hears_it_first(bench):
    one = bench()
    one.pending.start()
    assert one.leaves()
    assert one.left == ["reboot"]
    assert one.events == [("power-nightly-1", "done", "", "nothing was in the way")]
    assert one.journal.read() is None
    assert not one.socket.exists()


def test_the_server_hears_who_is_waited_for_and_how_it_ended(bench):
    one = bench(ALICE)
    one.start()
    assert not one.pending.turn()
    assert one.events == [
        ("power-nightly-1", "progress", "", "alice is logged in on pts/0"),
    ]
    assert not one.pending.turn()
    assert len(one.events) == 1
    one.now += 31
    assert not one.pending.turn()
    assert len(one.events) == 2
    one.now += 300
    one.until(lambda: len(one.people.told) == 2)
    one.now += 30
    assert one.leaves()
    assert one.events[-1][1:3] == ("done", "")
    assert one.events[-1][3].endswith("forced although alice is logged in on pts/0")


def test_what_is_given_up_is_a_failure_with_a_code(bench):
    one = bench(ALICE, policy=PowerPolicy(grace=10, at_end="give-up"))
    one.start()
    one.now += 10
    assert not one.leaves()
    assert one.left == []
    assert one.events[-1][1:] == (
        "failed",
        "RW242",
        "waited 10 s for alice is logged in on pts/0; given up because alice is logged in on pts/0",
    )
    assert one.pending.is_over


def test_a_system_is_shut_down_although_the_server_is_away(bench):
    one = bench()
    one.refuse = TransientError("RW557", "unreachable", "Wait")
    one.pending.start()
    one.until(lambda: one.pending.seconds_left() == 0.0)
    one.pending._resources = evolve(
        one.pending._resources,
        clock=Clock(monotonic=iter(range(0, 9999, 40)).__next__, pause=lambda _: None),
    )
    assert one.pending.turn()
    assert one.left == ["reboot"]


def test_what_the_server_ended_is_called_off(bench):
    one = bench(ALICE)
    one.start()
    one.refuse = EndedError("RW577", "cancelled", "Nothing")
    assert not one.pending.turn()
    assert one.pending.is_over
    assert one.people.told[-1] == ("This machine does not restart.", "normal")
    one.now += 1000
    assert not one.pending.turn()
    assert one.left == []


def test_newer_work_is_told_of_under_its_own_name(bench):
    one = bench(ALICE)
    one.start()
    one.pending.turn()
    one.pending.replace(one.work("reboot-op-2", 2), "reboot")
    one.pending.turn()
    assert [each[0] for each in one.events] == ["power-nightly-1", "reboot-op-2"]
    assert one.journal.read().operation == "reboot-op-2"


def test_a_person_asks_postpones_and_agrees_by_the_command(bench, capsys):
    one = bench(ALICE)
    one.start()
    me = pwd.getpwuid(os.getuid()).pw_name
    where = ["--socket", str(one.socket)]
    assert main(["status", *where]) == 0
    assert capsys.readouterr().out.startswith("this machine is to restart within ")
    assert main(["postpone", "1m", *where]) == 0
    assert f"postponed by {me} (by 1 min)" in capsys.readouterr().out
    assert main(["postpone", "2h", *where]) == 3
    assert "RW241: the restart can be put off at most" in capsys.readouterr().err
    assert main(["postpone", "soon", *where]) == 3
    assert "RW246: 'soon' is no length of time" in capsys.readouterr().err
    assert main(["now", *where]) == 0
    assert one.leaves()
    assert one.events[-1][3].endswith(f"{me} said that it may happen now")


def test_who_is_not_logged_in_may_only_ask(bench):
    one = bench(Blocker("bob is logged in on pts/0", 4_000_001))
    one.start()
    stranger = type("Stranger", (), {"uid": 4_000_002, "name": "uid 4000002"})()
    bob = type("Bob", (), {"uid": 4_000_001, "name": "bob"})()
    assert one.pending._answer(Request("status"), stranger).startswith("this machine is to")
    for command in (Request("postpone", 60), Request("now")):
        with pytest.raises(TerminalError, match=r"^RW244: uid 4000002 is not logged in at this"):
            one.pending._answer(command, stranger)
    assert "postponed by bob" in one.pending._answer(Request("postpone", 60), bob)


def test_who_is_not_alone_cannot_end_the_others_work(bench):
    one = bench(
        Blocker("bob is logged in on pts/0", 4_000_001),
        Blocker("eve is logged in on pts/1", 4_000_003),
    )
    one.start()
    bob = type("Bob", (), {"uid": 4_000_001, "name": "bob"})()
    with pytest.raises(TerminalError, match=r"^RW244: others are at work here: eve is logged in"):
        one.pending._answer(Request("now"), bob)
    root = type("Root", (), {"uid": 0, "name": "root"})()
    one.pending._answer(Request("now"), root)
    one.until(lambda: "in 30 s" in one.people.told[-1][0])


def test_without_a_shutdown_the_command_says_so(tmp_path, capsys):
    nothing = tmp_path / "shutdown.sock"
    assert main(["status", "--socket", str(nothing)]) == 3
    assert "RW240: no restart or shutdown of this machine waits. Nothing" in capsys.readouterr().err
    left_over = socket.socket(socket.AF_UNIX)
    left_over.bind(str(nothing))
    left_over.close()
    with pytest.raises(CodedError, match=r"^RW240"):
        ask(Request("status"), nothing)


def test_a_socket_left_by_a_killed_agent_is_taken_over_and_bad_clients_hold_nobody_up(tmp_path):
    path = tmp_path / "run/shutdown.sock"
    path.parent.mkdir()
    path.write_bytes(b"left over")
    control = ControlSocket(path, lambda request, person: f"{request.command} {person.uid}")
    control.open()
    try:
        for data in (b"garbage\n", b"x" * 5000 + b"\n", b""):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                answer = json.loads(client.makefile().readline())
                assert answer["code"] == "RW243"
        assert ask(Request("status"), path) == f"status {os.getuid()}"
        assert path.stat().st_mode & 0o777 == 0o666
    finally:
        control.close()
    assert not path.exists()


def test_where_no_socket_can_be_made_the_shutdown_still_waits(tmp_path, caplog):
    control = ControlSocket(tmp_path / ("x" * 120) / "shutdown.sock", lambda *_: "")
    control.open()
    control.close()
    assert "nobody can postpone" in caplog.text
