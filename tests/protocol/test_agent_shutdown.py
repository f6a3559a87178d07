"""Shutting a real system down politely: real systemd-logind, terminals, locks of dpkg, poweroff.

The system is this computer's Debian in namespaces, with a person who logs in by login(1).
"""

import json
import subprocess
from contextlib import suppress

import pytest
from builders.booted_system import booted_system

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(120)]

LOOK = """
from agent.shutdown.blockers import LocalPeople
print(*(each.text for each in LocalPeople().blockers()), sep="\\n")
"""
SHOW = """
from agent.notices import show_message
print(*show_message(sys.argv[1], urgency="critical"), sep="\\n")
"""
WAIT = """
import json, threading
from pathlib import Path
from agent.clock import Clock
from agent.journal import Journal
from agent.log import log_to_stderr
from agent.power import SystemPower
from agent.shutdown.pending import PendingShutdown, PoliteWays, ShutdownResources
from agent.wire.power import PowerPolicy
from agent.wire.step import Finish
from agent.wire.work import Work

log_to_stderr()
def send(operation, event):
    print(json.dumps([event.kind, event.message]), flush=True)

policy = PowerPolicy(grace=90, countdown=2, postponable=100)
work = Work("power-nightly-1", 1, (Finish("poweroff"),), power=policy)
resources = ShutdownResources(
    send, SystemPower(), Journal(Path("/run/journal.json")), Clock(),
    PoliteWays(look_seconds=0.2, tell_seconds=1.0),
)
pending = PendingShutdown(work, "poweroff", resources)
pending.start()
while not pending.turn():
    threading.Event().wait(0.1)
"""
LOCK = """
import fcntl
file = open("/var/lib/dpkg/lock-frontend", "w")
fcntl.lockf(file, fcntl.LOCK_EX)
sys.stdin.read()
"""


class Person:
    """Somebody who is logged in on a terminal of the system, and what that shows."""

    def __init__(self, system, name):
        self.name = name
        self._system = system
        system.run("useradd", "--create-home", "--shell", "/bin/bash", name)
        self._process = system.start(
            *("script", "--quiet", "--flush", "--return", "/run/screen"),
            *("--command", f"login -f {name}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        system.until(lambda: name in system.run("who"))

    def sees(self):
        return self._system.run("cat", "/run/screen")

    def leaves(self):
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._system.run("loginctl", "terminate-user", self.name)


@pytest.fixture
def system(tmp_path):
    with booted_system(tmp_path / "system") as found:
        yield found


def test_persons_inhibitors_and_updates_are_seen_and_told(system):
    assert system.run(*system.python(LOOK)).strip() == ""
    alice = Person(system, "alice")
    holders = [
        system.start(
            "systemd-inhibit",
            f"--what={what}",
            f"--who={who}",
            f"--why={why}",
            f"--mode={mode}",
            "sleep",
            "60",
        )
        for what, who, why, mode in (
            ("shutdown:sleep", "Burn  \x1b[31mTool", "writes a disc; 50 % done", "block"),
            ("shutdown", "Upgrades", "wants five seconds", "delay"),
            ("sleep", "Player", "plays", "block"),
        )
    ]
    update = system.start(*system.python(LOCK), stdin=subprocess.PIPE)
    system.until(
        lambda: (
            system.run(
                "busctl",
                "call",
                "org.freedesktop.login1",
                "/org/freedesktop/login1",
                "org.freedesktop.login1.Manager",
                "ListInhibitors",
            ).count("sleep")
            >= 2
        )
    )
    system.until(lambda: "is updating" in system.run(*system.python(LOOK)))
    person, inhibitor, packages = system.run(*system.python(LOOK)).splitlines()
    assert person == "alice is logged in on pts/0"
    assert inhibitor.startswith("Burn [31mTool (process ")
    assert inhibitor.endswith(") inhibits it: writes a disc; 50 % done")
    assert packages.endswith(") is updating packages (lock-frontend)")

    message = "再起動 in 5 min\x1b]0;owned\x07"
    assert system.run(*system.python(SHOW, message)) == "alice on pts/0\n"
    system.until(lambda: "再起動 in 5 min ]0;owned" in alice.sees())
    assert "\x1b]0;owned" not in alice.sees()

    alice.leaves()
    update.stdin.close()
    system.until(lambda: "alice" not in system.run(*system.python(LOOK)))
    assert len(system.run(*system.python(LOOK)).splitlines()) == 1
    for holder in holders:
        holder.kill()
        holder.wait(10)


def test_a_person_is_asked_puts_it_off_is_overruled_and_warned(system, tmp_path):
    alice = Person(system, "alice")
    stranger = ["runuser", "-u", "nobody", "--"]
    system.start(
        "systemd-inhibit",
        "--what=shutdown",
        "--who=Burn",
        "--why=writes",
        "--mode=block",
        "sleep",
        "60",
    )
    with (tmp_path / "told").open("wb") as told:
        system.start(*system.python(WAIT), stdout=told)
    command = system.python("from agent.main import main; sys.exit(main(sys.argv[1:]))")
    system.until(lambda: "is to shut down within" in alice.sees())
    refused = system.run(*stranger, *command, "postpone", "5s", expect=3)
    assert "RW244: nobody is not logged in at this machine" in refused
    refused = system.run("runuser", "-u", "alice", "--", *command, "postpone", "1h", expect=3)
    assert "RW241: the shutdown can be put off at most" in refused
    said = system.run("runuser", "-u", "alice", "--", *command, "postpone", "5s")
    assert "postponed by alice (by 5 s)" in said
    system.run(*command, "now")
    system.until(lambda: "will shut down in 2 s. Save your work now." in alice.sees())
    system.until(system.has_ended)
    events = [json.loads(line) for line in (tmp_path / "told").read_text("utf-8").splitlines()]
    kind, outcome = events[-1]
    assert kind == "done"
    assert outcome.startswith("waited ")
    assert "alice is logged in on pts/0, Burn (process " in outcome
    assert "; postponed by alice (by 5 s); root said that it may happen now; forced" in outcome
    assert {each[0] for each in events[:-1]} == {"progress"}
    assert events[0][1].startswith("alice is logged in on pts/0, Burn (process ")


def test_the_last_one_to_leave_ends_the_wait(system, tmp_path):
    alice = Person(system, "alice")
    with (tmp_path / "told").open("wb") as told:
        system.start(*system.python(WAIT), stdout=told)
    system.until(lambda: "is to shut down within" in alice.sees())
    alice.leaves()
    system.until(system.has_ended)
    kind, outcome = json.loads((tmp_path / "told").read_text("utf-8").splitlines()[-1])
    assert kind == "done"
    assert outcome.startswith("waited ")
    assert outcome.endswith("for alice is logged in on pts/0")
