"""Limits on a quantity."""

from pydantic import AfterValidator

from specs.quantity.duration import Duration
from specs.rejection import Rejection


def between(lowest: Duration, highest: Duration) -> AfterValidator:
    """Return the annotation of a field that takes ``lowest`` to ``highest``, both included."""

    def check(value: Duration) -> Duration:
        if not lowest <= value <= highest:
            raise Rejection(f"{value} is not between {lowest} and {highest}").as_pydantic()
        return value

    return AfterValidator(check)
