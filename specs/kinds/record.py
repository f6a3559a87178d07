"""What all models of documents have in common."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Record(BaseModel):
    """A mapping with known fields.

    Strict: nothing is converted silently. Names are ``camelCase`` in documents and
    ``snake_case`` here.
    """

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        arbitrary_types_allowed=True,
        defer_build=True,  # most commands meet few kinds, and some none
    )
