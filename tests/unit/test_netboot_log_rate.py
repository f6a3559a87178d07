from providers.netboot.log_rate import LogRate
from tests.unit.virtual_time import VirtualTime


def test_one_line_per_key_and_interval_says_how_many_were_kept_back():
    time = VirtualTime()
    rate = LogRate(time, interval=10)
    assert [rate.admit("a"), rate.admit("a"), rate.admit("a"), rate.admit("b")] == [
        0,
        None,
        None,
        0,
    ]
    time.now = 10
    assert [rate.admit("a"), rate.admit("a"), rate.admit("b")] == [2, None, 0]


def test_the_table_is_bounded():
    rate = LogRate(VirtualTime(), keys=100)
    for number in range(10_000):
        rate.admit(number)
    assert len(rate._last) == 100
