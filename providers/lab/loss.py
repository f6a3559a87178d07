"""The share of frames that a bad cable loses."""

from typing import Annotated

from specs.diagnostics.quote import quoted
from specs.types.invalid_value import InvalidValue
from specs.types.quantities.scale import QuantityError, Scale
from specs.types.text import read_with

_SCALE = Scale(noun="a share", example="1%", units={"‰": 1, "%": 10})
_WHOLE = 1000


def _per_mille(text: str) -> int:
    try:
        share = _SCALE.parse(text)
    except QuantityError as error:
        raise InvalidValue(f"{quoted(text)} {error}", error.hint) from None
    if share > _WHOLE:
        raise InvalidValue(f"{quoted(text)} is more than all of them", "write at most 100%")
    return share


LossShare = Annotated[int, read_with(_per_mille)]
"""Written in per cent, ``1.5%``; kept in thousandths, from 1 to 1000."""
