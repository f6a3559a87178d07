"""When updates are looked for, installed and restarted for: the decisions alone."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from agent.updates.due import (
    Facts,
    begun,
    closed,
    decide,
    ended,
    followed,
    into,
    missing,
    next_check,
    wants_restart,
    why_not_yet,
)
from agent.updates.kept import UpdateState
from agent.wire.package import WantedPackage
from agent.wire.updates import Opening, UpdateOrders, UpdateWindow

TOKYO = timezone(timedelta(hours=9))
NOON = datetime(2026, 12, 4, 12, 0, tzinfo=TOKYO)  # a Friday
PACKAGE = WantedPackage("editor", "apt")
ORDERS = UpdateOrders(policy="office", packages=(PACKAGE,))


def at(hours=0.0, boot="b1", users=()):
    return Facts(NOON + timedelta(hours=hours), boot, users)


def state(**changes):
    orders = evolve(ORDERS, **changes)
    return followed(UpdateState(), orders, at().seconds)


@pytest.mark.parametrize(
    ("orders", "facts", "is_due"),
    [
        ({"check_at": (15 * 60,)}, at(2.9), False),
        ({"check_at": (15 * 60,)}, at(3), True),
        ({"check_at": (15 * 60,)}, at(30), True),  # it was off at 15:00
        ({"check_at": (9 * 60,)}, at(1), False),  # due before anybody said so
        ({"check_at": (9 * 60,)}, at(21.5), True),
        ({"check_at_startup": True}, at(1, "b2"), True),
        ({"notice": 7}, at(1), True),
        ({"urgent": ("d1",)}, at(1), True),
        ({}, at(100, "b2"), False),
        ({"policy": "", "notice": 7, "check_at": (1,)}, at(100), False),
    ],
)
def test_it_is_looked_when_the_policy_says(orders, facts, is_due):
    assert (decide(state(**orders), facts).move == "look") == is_due


@pytest.mark.parametrize("orders", [{"check_at": (15 * 60,)}, {"notice": 7}, {"urgent": ("d1",)}])
def test_what_called_for_a_look_calls_once(orders):
    looked = ended(begun(state(**orders), at(4)), at(4).seconds)
    assert decide(looked, at(5)).move == "rest"
    assert decide(looked, at(28)).move == ("look" if "check_at" in orders else "rest")


def test_the_next_look_is_said_by_the_machines_own_clock():
    said = next_check(evolve(ORDERS, check_at=(9 * 60, 18 * 60)), NOON)
    assert datetime.fromtimestamp(said, TOKYO) == NOON.replace(hour=18)
    assert next_check(ORDERS, NOON) == 0


NIGHT = (UpdateWindow(tuple(range(7)), 22 * 60, 5 * 60),)


@pytest.mark.parametrize(
    ("orders", "facts", "why"),
    [
        ({}, at(), ""),
        ({"held": "held by ada", "held_until": at(1).seconds}, at(), "held by ada"),
        ({"held": "held by ada", "held_until": at(1).seconds}, at(1), ""),
        ({"held": "quarantined"}, at(1000), "quarantined"),
        ({"windows": NIGHT}, at(), "outside the windows of policy office (22:00-05:00)"),
        ({"windows": NIGHT}, at(11), ""),
        ({"windows": NIGHT, "time_zone": "UTC"}, at(11), "outside the windows"),
        ({"windows": NIGHT, "time_zone": "UTC"}, at(19.5), ""),
        ({"windows": NIGHT, "time_zone": "Mars/Base"}, at(11), "the time zone Mars/Base is not"),
        ({"openings": (Opening(at(2).seconds, at(3).seconds),)}, at(), "open at 2026-12-04 14:00"),
        ({"openings": (Opening(at(2).seconds, at(3).seconds),)}, at(2), ""),
        ({"openings": (Opening(at(2).seconds, at(3).seconds),)}, at(3), "has not said yet"),
        ({"openings": ()}, at(), "has not said yet"),
    ],
)
def test_nothing_begins_while_it_may_not(orders, facts, why):
    said = closed(evolve(ORDERS, **orders), facts)
    assert said.startswith(why) or why in said
    assert bool(said) == bool(why)


ALICE = ("alice is logged in on seat0",)


@pytest.mark.parametrize(
    ("orders", "facts", "why"),
    [
        ({"when": "next-startup"}, at(1), "when the machine starts next"),
        ({"when": "next-startup"}, at(1, "b2"), ""),
        ({"when": "logged-off"}, at(1, users=ALICE), "until nobody is logged in (alice"),
        ({"when": "logged-off"}, at(1), ""),
        ({"when": "logged-off", "deadline": 3600}, at(1, users=ALICE), ""),
        ({"confirm": True}, at(1, users=ALICE), "until a person there agrees (alice"),
        ({"confirm": True}, at(1), ""),
        ({"confirm": True}, at(1, users=None), "who is logged in is not known"),
        ({"when": "logged-off", "deadline": 3600}, at(0.5, users=None), "who is logged in is not"),
        ({"when": "logged-off", "deadline": 3600}, at(1, users=None), ""),
        ({}, at(1, users=None), ""),
        ({"confirm": True, "deadline": 7200}, at(1.9, users=ALICE), "until a person there agrees"),
        ({"confirm": True, "deadline": 7200}, at(2, users=ALICE), ""),
    ],
)
def test_people_and_starts_are_waited_for(orders, facts, why):
    waiting = missing(begun(state(**orders), at()), ("editor",), at())
    assert why in why_not_yet(waiting, facts)
    assert bool(why_not_yet(waiting, facts)) == bool(why)


def test_who_put_it_off_is_asked_again_later_and_who_agreed_is_not():
    waiting = missing(begun(state(confirm=True), at()), ("editor",), at())
    put_off = evolve(waiting, postponed=at(2).seconds)
    assert "put off until 2026-12-04 14:00" in why_not_yet(put_off, at(1, users=ALICE))
    assert "a person there agrees" in why_not_yet(put_off, at(2, users=ALICE))
    agreed = evolve(waiting, agreed=True)
    assert decide(agreed, at(1, users=ALICE)).move == "install"
    # The agreement was about these packages.
    assert not missing(agreed, ("editor", "kernel"), at(1)).agreed
    assert missing(agreed, ("editor",), at(1)).agreed


def test_a_look_while_something_waits_does_not_begin_peoples_time_anew():
    waiting = missing(begun(state(when="next-startup", deadline=7200), at()), ("editor",), at())
    again = missing(begun(waiting, at(1, "b2")), ("editor",), at(1, "b2"))
    assert (again.missing_since, again.missing_boot) == (at().seconds, "b1")
    assert decide(again, at(1, "b2")).move == "install"


def test_other_orders_make_what_waits_look_again_and_let_what_is_installed_end():
    waiting = missing(begun(state(), at()), ("editor",), at())
    more = evolve(ORDERS, packages=(PACKAGE, WantedPackage("kernel", "apt")))
    assert followed(waiting, more, at(1).seconds).phase == "fetching"
    assert followed(waiting, evolve(ORDERS, confirm=True), at(1).seconds).phase == "waiting"
    assert followed(waiting, UpdateOrders(), at(1).seconds).phase == "idle"
    for phase in ("installing", "restart"):
        assert followed(into(waiting, phase, 1), UpdateOrders(), 2).phase == phase


def test_a_machine_whose_policy_is_removed_does_not_restart_for_it():
    waiting = wants_restart(begun(state(windows=NIGHT), at()), at())
    assert "outside the windows" in decide(waiting, at(1)).why
    left = followed(waiting, UpdateOrders(), at(1).seconds)
    assert decide(left, at(1)).move == "rest"
    assert "no update policy" in decide(left, at(1)).why
    assert decide(left, at(1, "b2")).move == "install"  # it ends there
    back = followed(left, evolve(ORDERS, policy="other"), at(1).seconds)
    assert decide(back, at(1)).move == "restart"


EVENTS = st.sampled_from(
    ["hour", "boot", "found", "nothing", "installed", "wants", "refused", "other", "none", "users"]
)


@given(st.lists(EVENTS, max_size=60), st.booleans(), st.booleans())
def test_nothing_is_installed_in_a_boot_that_has_to_end_first(  # noqa: C901 - a state machine
    events, confirm, startup
):
    kept = state(confirm=confirm, check_at=(15 * 60,), check_at_startup=startup)
    hours, boots, users, restarting = 0.0, 1, (), ""
    for event in events:
        hours += event == "hour"
        users = ALICE if event == "users" else ()
        if event == "boot":
            boots += 1
        facts = at(hours, f"b{boots}", users)
        if event in {"other", "none"}:
            orders = UpdateOrders() if event == "none" else evolve(kept.orders, notice=int(hours))
            kept = followed(kept, orders, facts.seconds)
        move = decide(kept, facts).move
        if restarting == facts.boot:
            assert move in {"restart", "rest"}
            continue
        restarting = ""
        if move == "look":
            kept = begun(kept, facts)
        if move in {"look", "fetch"}:
            if event == "found":
                kept = missing(kept, ("editor",), facts)
            elif event == "nothing":
                kept = ended(kept, facts.seconds)
        elif move == "install":
            assert kept.phase in {"waiting", "installing", "restart"}
            kept = into(kept, "installing", facts.seconds)
            if event == "installed":
                kept = ended(kept, facts.seconds)
            elif event == "wants":
                kept, restarting = wants_restart(kept, facts), facts.boot
        else:
            assert move == "rest"


def test_times_are_those_of_the_machine_wherever_its_clock_stands():
    facts = Facts(datetime(2026, 12, 4, 6, 30, tzinfo=UTC), "b1")
    assert decide(state(check_at=(15 * 60,)), facts).move == "rest"
    local = Facts(facts.now.astimezone(TOKYO), "b1")
    assert decide(state(check_at=(15 * 60,)), local).move == "look"
