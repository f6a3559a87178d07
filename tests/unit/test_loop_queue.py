"""The queue hands out each machine once, when it is due, the most urgent first."""

from datetime import timedelta

from builders.world import NOW
from hypothesis import given
from hypothesis import strategies as st

from reconciler.loop.queue import ReconcileQueue, Urgency

LATER = NOW + timedelta(seconds=10)


def drained(queue, now):
    found = []
    while (key := queue.pop(now)) is not None:
        found.append(key)
    return found


def test_a_key_is_handed_out_once_it_is_due_and_only_once():
    queue = ReconcileQueue()
    queue.add("a", LATER)
    assert queue.pop(NOW) is None
    assert queue.next_time() == LATER
    assert drained(queue, LATER) == ["a"]
    assert queue.next_time() is None


def test_whoever_asks_earlier_wins_and_a_later_wish_changes_nothing():
    queue = ReconcileQueue()
    for at in (LATER, NOW, LATER):
        queue.add("a", at)
    assert drained(queue, NOW) == ["a"]
    assert drained(queue, LATER) == []


def test_of_those_that_are_due_the_most_urgent_comes_first():
    queue = ReconcileQueue()
    for urgency in (Urgency.TIMER, Urgency.PERSON, Urgency.MACHINE):
        queue.add(urgency.name, NOW, urgency)
    assert drained(queue, LATER) == ["MACHINE", "PERSON", "TIMER"]


def test_a_key_that_becomes_urgent_overtakes_those_that_were_due_before():
    queue = ReconcileQueue()
    queue.add("first", NOW)
    queue.add("second", NOW)
    queue.add("third", NOW)
    assert queue.pop(NOW) == "first"
    queue.add("third", NOW, Urgency.MACHINE)
    assert drained(queue, NOW) == ["third", "second"]


_STEP = st.one_of(
    st.tuples(st.just("add"), st.sampled_from("abcd"), st.integers(0, 9), st.sampled_from(Urgency)),
    st.tuples(st.just("pop"), st.just(""), st.integers(0, 9), st.just(Urgency.TIMER)),
)


@given(st.lists(_STEP, max_size=60))
def test_no_key_is_lost_early_or_handed_out_twice(steps):
    """A dictionary with the earliest time and the greatest urgency of each key says what is due."""
    queue, wanted, now = ReconcileQueue(), {}, NOW
    for step, key, seconds, urgency in steps:
        if step == "add":
            at = now + timedelta(seconds=seconds)
            known = wanted.get(key, (at, urgency))
            wanted[key] = min(known[0], at), min(known[1], urgency)
            queue.add(key, at, urgency)
        else:
            now += timedelta(seconds=seconds)
            due = {each: wanted[each] for each in wanted if wanted[each][0] <= now}
            popped = queue.pop(now)
            if popped is None:
                assert due == {}
            else:
                best = min((urgency, at) for at, urgency in due.values())
                assert due[popped][::-1] == best
                del wanted[popped]
        assert len(queue) == len(wanted)
        earliest = queue.next_time()
        if earliest is not None and wanted:
            assert earliest <= max(now, min(at for at, _ in wanted.values()))
    assert sorted(drained(queue, now + timedelta(hours=1))) == sorted(wanted)
