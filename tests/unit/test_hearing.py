"""From when on the server could hear, by two clocks that are turned by hand."""

from datetime import timedelta

import pytest
from builders.world import NOW
from hypothesis import given
from hypothesis import strategies as st

from reconciler.loop.hearing import LARGEST_STEP, LONGEST_GAP, Hearing

SECOND = timedelta(seconds=1)


class Clocks:
    """A wall clock that can be set, and one that cannot."""

    def __init__(self):
        self.wall, self.steady = NOW, 0.0
        self.hearing = Hearing(lambda: self.wall, lambda: self.steady)

    def passes(self, time):
        self.wall += time
        self.steady += time.total_seconds()

    def goes_on(self, seconds):
        """Let time pass as for a server that runs: it looks every second."""
        for _ in range(seconds):
            self.passes(SECOND)
            self.hearing.since()


@pytest.fixture
def clocks():
    return Clocks()


def test_a_server_hears_from_its_start_on(clocks):
    clocks.goes_on(100)
    assert clocks.hearing.since() == NOW
    assert clocks.hearing.news() is None


def test_a_server_that_stood_still_hears_from_when_it_goes_on(clocks):
    clocks.passes(LONGEST_GAP + 2 * SECOND)
    assert clocks.hearing.since() == clocks.wall
    news = clocks.hearing.news()
    assert news.cause == "the server stood still for 0:00:07"
    assert not news.clock_was_set
    assert clocks.hearing.news() is None, "it is told once"


@pytest.mark.parametrize("way", [1, -1])
def test_a_clock_that_is_set_is_noticed(clocks, way):
    clocks.goes_on(3)
    clocks.wall += way * timedelta(days=1)
    assert clocks.hearing.since() == clocks.wall
    said = "forward" if way == 1 else "back"
    news = clocks.hearing.news()
    assert news.clock_was_set
    assert news.cause == f"the clock was set {said} by 1 day, 0:00:00, or the server slept"


def test_what_a_time_service_corrects_is_no_jump(clocks):
    clocks.wall += LARGEST_STEP
    assert clocks.hearing.since() == NOW


def test_small_steps_back_add_up_to_no_moment_in_the_future(clocks):
    for _ in range(3):
        clocks.wall -= LARGEST_STEP
        assert clocks.hearing.since() == clocks.wall
    assert clocks.hearing.news() is None


def test_what_was_said_and_could_not_be_recorded_counts_as_not_heard(clocks):
    clocks.goes_on(60)
    clocks.hearing.missed("the disk is full")
    clocks.goes_on(60)
    assert clocks.hearing.since() == clocks.wall - 60 * SECOND
    assert clocks.hearing.news().cause == "the disk is full"


def test_that_a_clock_was_set_is_told_whatever_came_after(clocks):
    clocks.wall += timedelta(hours=1)
    clocks.hearing.missed("the disk is full")
    assert clocks.hearing.news().clock_was_set


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(-90_000, 90_000))))
def test_whatever_the_clocks_do_it_is_never_later_than_now(steps):
    clocks = Clocks()
    for seconds, jump in steps:
        clocks.passes(timedelta(seconds=seconds))
        clocks.wall += timedelta(seconds=jump)
        since = clocks.hearing.since()
        assert since <= clocks.wall
        if abs(jump) > LARGEST_STEP.total_seconds() + 0.01:
            assert since == clocks.wall
