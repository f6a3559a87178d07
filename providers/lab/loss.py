"""The share of frames that a bad cable loses."""

from typing import Annotated

from specs.quantity.scale import QuantityError, Scale
from specs.quotation import quoted
from specs.rejection import Rejection
from specs.value.text import read_with

_SCALE = Scale(noun="a share", example="1%", units={"‰": 1, "%": 10})
_WHOLE = 1000


def _per_mille(text: str) -> int:
    try:
        share = _SCALE.parse(text)
    except QuantityError as error:
        raise Rejection(f"{quoted(text)} {error}", error.hint) from None
    if share > _WHOLE:
        raise Rejection(f"{quoted(text)} is more than all of them", "write at most 100%")
    return share


LossShare = Annotated[int, read_with(_per_mille)]
"""Written in per cent, ``1.5%``; kept in thousandths, from 1 to 1000."""
