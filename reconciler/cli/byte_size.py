"""Sizes on the command line."""

import click

from specs.types.invalid_value import InvalidValue
from specs.types.quantities import ByteSize


class _ByteSize(click.ParamType[int]):
    """A size with its unit, kept in bytes."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the bytes."""
        if isinstance(value, int):
            return value
        try:
            return ByteSize.parse(str(value)).bytes
        except InvalidValue as error:
            self.fail(str(error), param, ctx)


BYTE_SIZE = _ByteSize()
