"""A shutdown that waits for people, in virtual time: what is said, when it happens, and how."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import TerminalError
from agent.shutdown.blockers import Blocker, in_words
from agent.shutdown.polite import Leave, PoliteShutdown, Say, Stay
from agent.wire.power import PowerPolicy
from reconciler.loop.power_policies import POLITE, within

ALICE = Blocker("alice is logged in on seat0 (tty2)", 1000)
BOB = Blocker("bob is logged in on pts/0", 1001)
UPDATE = Blocker("apt-get (process 4711) is updating packages (lock-frontend)")
POLICY = PowerPolicy(grace=300, countdown=30, postponable=3600)


def a_shutdown(policy=POLICY, action="reboot", why=""):
    return PoliteShutdown(action, policy, 0.0, why)


def run(shutdown, blockers_at, until=20_000):
    """Turn once a second; return what was done when."""
    found = []
    for now in range(until):
        found += [(now, move) for move in shutdown.turn(blockers_at(now), float(now))]
        if shutdown.is_over:
            return found
    raise AssertionError(f"it never ended: {found}")


def test_a_system_that_nobody_uses_leaves_at_once_and_says_nothing():
    shutdown = a_shutdown()
    assert run(shutdown, lambda _: ()) == [(0, Leave("reboot", forced=False))]
    assert shutdown.outcome(0) == "nothing was in the way"


def test_an_immediate_policy_leaves_at_once_whoever_is_there():
    assert PowerPolicy().is_immediate
    shutdown = a_shutdown(PowerPolicy(), "poweroff")
    assert run(shutdown, lambda _: (ALICE,)) == [(0, Leave("poweroff", forced=True))]


def test_who_does_not_leave_is_asked_warned_and_then_overruled():
    shutdown = a_shutdown()
    (asked_at, asked), (warned_at, warned), left = run(shutdown, lambda _: (ALICE, UPDATE))
    assert (asked_at, asked) == (
        0,
        Say(
            "This machine is to restart within 5 min. Please save your work and log out. "
            "`rackwright-agent postpone 10m` puts it off, `rackwright-agent now` lets it happen "
            "at once."
        ),
    )
    assert (warned_at, warned) == (
        300,
        Say("This machine will restart in 30 s. Save your work now."),
    )
    assert left == (330, Leave("reboot", forced=True))
    assert shutdown.outcome(330.0) == (
        "waited 5 min for alice is logged in on seat0 (tty2), apt-get (process 4711) is updating "
        "packages (lock-frontend); forced although alice is logged in on seat0 (tty2), apt-get "
        "(process 4711) is updating packages (lock-frontend)"
    )


def test_it_happens_as_soon_as_the_last_one_has_left():
    shutdown = a_shutdown()
    moves = run(shutdown, lambda now: (ALICE,) if now < 70 else ())
    assert moves[-1] == (70, Leave("reboot", forced=False))
    assert shutdown.outcome(70.0) == "waited 1 min for alice is logged in on seat0 (tty2)"


def test_it_happens_at_once_when_they_leave_in_the_last_half_minute():
    moves = run(a_shutdown(), lambda now: (ALICE,) if now < 310 else ())
    assert moves[-1] == (310, Leave("reboot", forced=False))


def test_a_policy_that_forces_nothing_gives_up_and_says_for_whom():
    shutdown = a_shutdown(PowerPolicy(grace=60, countdown=30, at_end="give-up"))
    *_, told, stayed = run(shutdown, lambda _: (BOB,))
    assert told == (60, Say("This machine does not restart now.", "normal"))
    assert stayed == (60, Stay("bob is logged in on pts/0 after 1 min"))
    assert shutdown.outcome(60.0) == (
        "waited 1 min for bob is logged in on pts/0; given up because bob is logged in on pts/0"
    )


def test_a_person_puts_it_off_and_that_is_told_with_who_and_how_long():
    shutdown = a_shutdown()
    shutdown.turn([ALICE], 0.0)
    assert shutdown.postpone(1800, "alice", 200.0) == 1800
    assert shutdown.status(200.0) == (
        "this machine is to restart not before 30 min from now; alice is logged in on seat0 "
        "(tty2); postponed by alice (by 30 min); it can be put off by 56 min"
    )
    moves = run(shutdown, lambda _: (ALICE,))
    assert [at for at, _ in moves] == [2000, 2030]
    assert "postponed by alice (by 30 min); forced although" in shutdown.outcome(2030.0)


def test_what_is_put_off_does_not_happen_meanwhile_though_they_left():
    shutdown = a_shutdown()
    shutdown.turn([ALICE], 0.0)
    shutdown.postpone(1800, "alice", 10.0)
    assert run(shutdown, lambda _: ())[-1] == (1810, Leave("reboot", forced=False))


def test_the_last_warning_can_be_answered_too():
    shutdown = a_shutdown()
    for now in range(310):
        shutdown.turn([ALICE], float(now))
    assert shutdown.state == "countdown"
    shutdown.postpone(600, "alice", 310.0)
    assert [at for at, _ in run(shutdown, lambda _: (ALICE,))] == [910, 940]


@pytest.mark.parametrize(
    ("policy", "seconds", "now", "cause"),
    [
        (POLICY, 3601, 0, "the restart can be put off at most 1 h more"),
        (POLICY, 1800, 3000, "the restart can be put off at most 10 min more"),
        (POLICY, 60, 3600, "the restart can be put off no longer"),
        (PowerPolicy(grace=60), 10, 0, "the restart can be put off no longer"),
        (POLICY, 0, 0, "the restart can be put off at most 1 h more"),
    ],
)
def test_nobody_puts_it_off_beyond_what_the_policy_allows(policy, seconds, now, cause):
    shutdown = a_shutdown(policy)
    with pytest.raises(TerminalError) as refused:
        shutdown.postpone(seconds, "alice", float(now))
    assert (refused.value.code, refused.value.cause) == ("RW241", cause)
    assert shutdown.waiting_for() == ""


def test_the_only_person_who_agrees_is_not_waited_for():
    shutdown = a_shutdown()
    shutdown.turn([ALICE], 0.0)
    shutdown.postpone(1800, "alice", 1.0)
    shutdown.agree("alice", 1000)
    assert shutdown.turn([ALICE], 2.0) == (Leave("reboot", forced=False),)
    assert shutdown.outcome(2.0).endswith("alice said that it may happen now")


def test_where_root_agrees_the_others_still_get_the_last_warning():
    shutdown = a_shutdown()
    shutdown.turn([ALICE], 0.0)
    shutdown.agree("root", 0)
    assert [at for at, _ in run(shutdown, lambda _: (ALICE,))] == [0, 30]


def test_what_the_server_wants_no_more_is_called_off_and_people_hear_it():
    shutdown = a_shutdown()
    assert shutdown.call_off() == ()
    shutdown = a_shutdown(action="poweroff")
    shutdown.turn([ALICE], 0.0)
    assert shutdown.call_off() == (Say("This machine does not shut down.", "normal"),)
    assert shutdown.turn([], 1.0) == ()
    assert shutdown.call_off() == ()


def test_newer_work_changes_what_is_done_and_takes_no_promised_time_away():
    shutdown = a_shutdown()
    shutdown.turn([ALICE], 0.0)
    shutdown.postpone(600, "alice", 0.0)
    shutdown.replace("poweroff", PowerPolicy(grace=10, countdown=5), 100.0)
    assert run(shutdown, lambda _: (ALICE,))[-1] == (605, Leave("poweroff", forced=True))


def test_a_reason_is_shown_without_what_acts_on_terminals():
    (said,) = a_shutdown(why="new\x1b[2Jimage\r\nfrom \u202eevil").turn([ALICE], 0.0)
    assert "This machine is to restart within 5 min (new [2Jimage from evil)." in said.text


def test_many_in_the_way_are_counted():
    many = [Blocker(f"u{number} is logged in", number) for number in range(1, 9)]
    shutdown = a_shutdown(PowerPolicy(grace=1))
    run(shutdown, lambda _: many)
    assert "u5 is logged in, 3 more" in shutdown.outcome(1.0)


def test_how_long_someone_is_idle_is_not_another_blocker_each_time():
    shutdown = a_shutdown()
    run(shutdown, lambda now: [Blocker(f"alice is logged in on tty2, idle for {now} s", 1000)])
    assert shutdown.outcome(330.0).count("alice is logged in") == 2


_POLICIES = st.builds(
    PowerPolicy,
    grace=st.integers(0, 100),
    countdown=st.integers(0, 30),
    postponable=st.integers(0, 300),
    at_end=st.sampled_from(["force", "give-up"]),
)
_EVENTS = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.sampled_from(["come", "go", "postpone", "agree", "replace"]),
        st.integers(1, 400),
    ),
    max_size=30,
)


@given(_POLICIES, _EVENTS)
def test_whatever_people_do_it_ends_in_time_and_never_before_it_may(  # noqa: C901 - a story
    policy, events
):
    shutdown = a_shutdown(policy)
    now, present, promised, agreed = 0.0, True, 0.0, False
    left = None
    pending = list(events)
    while not shutdown.is_over:
        if pending and pending[0][0] <= 0:
            _, what, seconds = pending.pop(0)
            if what in {"come", "go"}:
                present = what == "come"
            elif what == "agree":
                shutdown.agree("alice", 1000)
                agreed = True
            elif what == "replace":
                shutdown.replace("reboot", policy, now)
            else:
                try:
                    shutdown.postpone(seconds, "alice", now)
                except TerminalError:
                    assert seconds > policy.postponable - now
                else:
                    promised, agreed = now + seconds, False
        elif pending:
            gap, *rest = pending[0]
            pending[0] = (gap - 1, *rest)
        moves = shutdown.turn([ALICE] if present else [], now)
        left = next((each for each in moves if isinstance(each, Leave)), left)
        if left is not None:
            assert agreed or now >= promised
            assert left.forced is (present and not agreed)
            if left.forced:
                assert policy.at_end == "force"
                assert now >= policy.grace + policy.countdown
        # A person who postpones in the countdown gets another one.
        assert now <= policy.longest + policy.countdown + 1
        now += 1
    assert shutdown.turn([ALICE], now) == ()


@given(st.integers(-100, 100_000))
def test_a_policy_within_a_time_is_over_a_minute_before_its_end(seconds):
    found = within(POLITE, seconds)
    assert found.longest <= max(0, seconds - 60)
    assert found.at_end == POLITE.at_end


def test_a_policy_is_cut_down_only_where_it_has_to_be():
    assert within(POLITE, 24 * 3600) == POLITE
    assert within(POLITE, 900) == PowerPolicy(grace=300, countdown=30, postponable=810)
    assert within(POLITE, 0).is_immediate


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (7500, "2 h 5 min"), (7200, "2 h"), (2e5, "2 d")],
)
def test_lengths_of_time_are_put_into_words(seconds, words):
    assert in_words(seconds) == words
