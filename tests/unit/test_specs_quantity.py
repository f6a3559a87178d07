"""Durations, sizes and rates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.types.invalid_value import InvalidValue
from specs.types.quantities import BitRate, ByteSize, Duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86_400), ("1w", 604_800), ("1.5h", 5400)],
)
def test_durations_are_read_in_seconds(text: str, seconds: int) -> None:
    assert Duration.parse(text) == Duration(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512B", 512),
        ("4kB", 4000),
        ("4KiB", 4096),
        ("1.5TiB", 1_649_267_441_664),
        ("1.1TiB", 1_209_462_790_553),
        ("2TB", 2 * 10**12),
    ],
)
def test_sizes_are_read_in_bytes(text: str, size: int) -> None:
    assert ByteSize.parse(text) == ByteSize(size)


def test_rates_are_read_in_bits_per_second() -> None:
    assert BitRate.parse("400Mbit/s") == BitRate(400_000_000)
    assert BitRate.parse("2.5Gbit/s") == BitRate(2_500_000_000)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("10", "has no unit", "for example 10m; units are s, m, h, d, w"),
        ("10x", "is not a duration", "for example 10m; units are s, m, h, d, w"),
        ("2H", "is not a duration", "write 2h"),
        ("2 h", "is not a duration", "write 2h"),
        ("-5m", "is not a duration", "for example 10m; units are s, m, h, d, w"),
        ("1h30m", "is not a duration", "write 90m"),
        ("90min", "is not a duration", "write 90m"),
        ("2 hours", "is not a duration", "write 2h"),
        ("", "is not a duration", "for example 10m; units are s, m, h, d, w"),
        (
            "1.5s",
            "is not a whole number of s",
            "use a smaller unit; for example 10m; units are s, m, h, d, w",
        ),
        (
            "0m",
            "is nothing",
            "write a duration above zero; for example 10m; units are s, m, h, d, w",
        ),
    ],
)
def test_what_is_no_duration_is_refused_with_a_hint(text: str, message: str, hint: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        Duration.parse(text)
    assert (str(caught.value), caught.value.hint) == (f'"{text}" {message}', hint)


def test_a_wrong_case_of_a_unit_is_corrected_in_the_hint() -> None:
    with pytest.raises(InvalidValue) as caught:
        BitRate.parse("400mbit/s")
    assert caught.value.hint == "write 400Mbit/s"


@given(st.integers(min_value=1, max_value=10**14))
def test_text_reads_back_as_the_same_amount(amount: int) -> None:
    for kind in (Duration, ByteSize, BitRate):
        assert kind.parse(str(kind(amount))) == kind(amount)


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_an_invalid_value(text: str) -> None:
    try:
        found = Duration.parse(text)
    except InvalidValue:
        return
    assert found.seconds > 0
