"""How a field's own check says no."""

from typing import TYPE_CHECKING

from specs.diagnostics.codes import Code

if TYPE_CHECKING:
    from pydantic_core import PydanticCustomError

INVALID_VALUE = "rackwright"
"""The type under which pydantic reports an invalid value."""


class InvalidValue(ValueError):  # noqa: N818 - the field's answer, which pydantic carries further
    """A value that a field does not take, with the words for the person who wrote it.

    ``field`` is the one within a rejected mapping that is to blame.
    """

    def __init__(
        self, message: str, hint: str = "", code: Code = Code.BAD_VALUE, field: str = ""
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code
        self.field = field

    def as_pydantic(self) -> "PydanticCustomError":
        """Return the error to raise inside a validator: pydantic hands its context on."""
        from pydantic_core import PydanticCustomError  # noqa: PLC0415 - slow to load

        context = {
            "message": str(self),
            "hint": self.hint,
            "code": self.code,
            "field": self.field,
        }
        return PydanticCustomError(INVALID_VALUE, "{message}", context)
