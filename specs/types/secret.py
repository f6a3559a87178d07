"""The name of a secret, where a document needs one."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_LONGEST = 253
TAG_HINT = "only !secret NAME exists here; put text that begins with ! in quotes"
"""What helps against every other tag."""


@dataclass(frozen=True, slots=True)
class SecretReference:
    """``!secret bmc/rack07``: where to find a value that is never in Git.

    A field accepts one only by having this type.
    """

    name: str

    @staticmethod
    def is_name(text: str) -> bool:
        """Return whether ``text`` can name a secret: letters, digits, ``.``, ``_``, ``-``, ``/``.

        Each part between slashes begins with a letter or digit.
        """
        return len(text) <= _LONGEST and _NAME.fullmatch(text) is not None

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: object, _handler: "GetCoreSchemaHandler"
    ) -> "CoreSchema":
        from pydantic_core import core_schema  # noqa: PLC0415 - slow to load

        return core_schema.is_instance_schema(cls)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: "CoreSchema", _handler: "GetJsonSchemaHandler"
    ) -> "JsonSchemaValue":
        return {"type": "string", "description": "A reference to a secret: !secret NAME"}
