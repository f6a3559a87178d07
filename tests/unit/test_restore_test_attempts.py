"""A restore test that breaks off is tried again, but not for ever."""

import errno

import pytest

from reconciler.server.service import why_given_up


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_for_want_of_room_it_is_tried_until_there_is_some(number: int) -> None:
    assert why_given_up(OSError(number, "no room"), 1000) == ""


@pytest.mark.parametrize("error", [OSError(errno.EFBIG, "File too large"), ValueError("odd")])
def test_what_no_time_mends_is_given_up_with_its_cause(error: Exception) -> None:
    assert why_given_up(error, 4) == ""
    found = why_given_up(error, 5)
    assert found.startswith("RW634: the test did not come to its end, 5 times: ")
    assert str(error) in found
