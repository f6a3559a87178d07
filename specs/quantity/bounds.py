"""Limits on a quantity."""

from typing import TypeVar

from pydantic import AfterValidator

from specs.quantity.bit_rate import BitRate
from specs.quantity.byte_size import ByteSize
from specs.quantity.duration import Duration
from specs.rejection import Rejection

Q = TypeVar("Q", BitRate, ByteSize, Duration)


def between(lowest: Q, highest: Q) -> AfterValidator:
    """Return the annotation of a field that takes ``lowest`` to ``highest``, both included."""

    def check(value: Q) -> Q:
        if not lowest <= value <= highest:
            raise Rejection(f"{value} is not between {lowest} and {highest}").as_pydantic()
        return value

    return AfterValidator(check)
