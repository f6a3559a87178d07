"""Rollout: in which order machines are overwritten, and what has to hold before more are."""

import re
from itertools import pairwise
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from specs.diagnostics.quote import quoted
from specs.kinds.record import Record
from specs.kinds.selector import Selector
from specs.types.invalid_value import InvalidValue
from specs.types.line import Line
from specs.types.quantities import Duration, between
from specs.types.text import Length
from specs.types.web import Url

MAX_WAVES = 100
MAX_FAILURES = 1000
PLACEHOLDERS = ("machine", "hostname", "address")
"""What stands for a value of the machine that is looked at, in braces."""
_WEEK = Duration(7 * 86_400)


class Wave(Record):
    """Machines that are overwritten together. Exactly one of percent and select is given."""

    name: Annotated[Line, Length(1, 40)] | None = Field(
        default=None, description="What people call it.", examples=["canary"]
    )
    percent: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="So many in a hundred of all machines that are overwritten, those of the waves "
        "before included, rounded up, in the order of their names.",
        examples=[10],
    )
    select: Selector | None = Field(
        default=None, description="The machines, as far as no wave before has them."
    )

    @model_validator(mode="after")
    def _has_one_way(self) -> Self:
        if (self.percent is None) == (self.select is None):
            raise InvalidValue(
                "a wave has either percent or select", "for example percent: 10"
            ).as_pydantic()
        return self


class Health(Record):
    """What has to hold of a machine after its work, besides that the work was verified."""

    soak: Annotated[Duration, between(Duration(1), _WEEK)] | None = Field(
        default=None,
        description="How long the machine is left at work before it is looked at; its agent has to "
        "be there still. Between 1s and 1w; at once where absent.",
        examples=["15m"],
    )
    within: Annotated[Duration, between(Duration(10), Duration(86_400))] = Field(
        default=Duration(600),
        description="How long it may take from the first look until the machine is healthy; it is "
        "looked at about every ten seconds. Between 10s and 1d.",
        examples=["10m"],
    )
    url: Url | None = Field(
        default=None,
        description="What the server asks for; an answer of 200 to 299 is good. {machine}, "
        "{hostname} and {address} stand for the machine's. Redirects are not followed.",
        examples=["http://{address}:8080/health"],
    )
    command: tuple[Annotated[Line, Length(1, 1000)], ...] = Field(
        default=(),
        max_length=50,
        description="A program of the folder health-checks in the server's state directory, and "
        "its arguments, with the same words in braces; no shell. It runs as the server does. Its "
        "status 0 is good.",
        examples=[["check-web", "--host", "{address}"]],
    )

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        for text in (self.url or "", *self.command):
            for word in re.findall(r"\{([^{}]*)\}", text):
                if word not in PLACEHOLDERS:
                    known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
                    raise InvalidValue(
                        f"{quoted(word)} in braces stands for nothing", f"use {known}"
                    ).as_pydantic()
        try:
            host = urlsplit((self.url or "http://x").format_map(_AnyWord()))
            is_address = bool(host.hostname) and host.port != 0
        except ValueError:
            is_address = False
        if not is_address:
            raise InvalidValue(
                f"{quoted(self.url or '')} is no address that can be asked",
                "for example http://{address}:8080/health",
            ).as_pydantic()
        if self.command and not _is_program(self.command[0]):
            raise InvalidValue(
                f"{quoted(self.command[0])} is not the name of a program",
                "write its file name alone; it is looked for in the server's folder health-checks",
            ).as_pydantic()
        return self


class _AnyWord(dict[str, str]):
    """Stands for a machine's values."""

    def __missing__(self, word: str) -> str:
        return "x"


_is_program = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}").fullmatch


class Rollout(Record):
    """How machines are overwritten wave by wave."""

    waves: tuple[Wave, ...] = Field(
        default=(),
        max_length=MAX_WAVES,
        description="The waves in their order. Machines that none of them has are the last wave.",
        examples=[[{"name": "canary", "select": {"machines": ["web-01"]}}, {"percent": 10}]],
    )
    health: Health = Field(
        default_factory=Health, description="What makes a machine healthy after its work."
    )
    max_failures: int = Field(
        default=0,
        ge=0,
        le=MAX_FAILURES,
        description="So many machines may fail; at one more the rollout halts until a person "
        "resumes or aborts it. A machine that is not reached has failed.",
        examples=[0],
    )

    @model_validator(mode="after")
    def _grows(self) -> Self:
        shares = [each.percent for each in self.waves if each.percent is not None]
        if any(later <= before for before, later in pairwise(shares)):
            raise InvalidValue(
                "each percent includes the waves before, so that it has to be larger",
                "for example 10, then 50",
            ).as_pydantic()
        return self
