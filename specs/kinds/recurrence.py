"""When something happens."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from specs.kinds.record import Record
from specs.types.clock import WEEKDAYS, Cron, EndTimeOfDay, TimeOfDay, TimeZone, Weekday
from specs.types.invalid_value import InvalidValue
from specs.types.name import Name
from specs.types.quantities import Duration, between
from specs.types.timestamp import CalendarDay, Timestamp


class Window(Record):
    """Hours in which work may begin. One that ends before it begins lasts past midnight."""

    days: tuple[Weekday, ...] = Field(
        default=WEEKDAYS,
        min_length=1,
        max_length=7,
        description="The days on which it opens; every day where absent.",
        examples=[["sat", "sun"]],
    )
    begin: TimeOfDay = Field(description="When it opens.", examples=["22:00"])
    end: EndTimeOfDay = Field(
        description="When it closes; 24:00 is the end of the day.", examples=["05:00"]
    )

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.begin == self.end:
            raise InvalidValue(
                "the window closes when it opens", "correct one of the two", field="end"
            ).as_pydantic()
        return self


class Days(Record):
    """Days on which nothing begins: written here, or in documents of their own, or both."""

    dates: tuple[CalendarDay, ...] = Field(
        default=(),
        max_length=1000,
        description="The days, in the time zone that is written beside them.",
        examples=[["2026-12-24", "2026-12-25"]],
    )
    calendars: tuple[Name, ...] = Field(
        default=(),
        max_length=100,
        description="Calendar documents whose days count as well.",
        examples=[["japan"]],
    )

    @model_validator(mode="after")
    def _says_some(self) -> Self:
        if not self.dates and not self.calendars:
            raise InvalidValue(
                "says no day", 'dates: ["2026-12-24"], or calendars: [NAME]'
            ).as_pydantic()
        return self


class Holidays(Days):
    """Days on which nothing is started, and what becomes of what falls on them."""

    action: Literal["skip", "next-day"] = Field(
        default="skip",
        description="skip: what falls on such a day is left out. next-day: it happens at the same "
        "time of the next day that is none.",
        examples=["skip"],
    )


class Recurrence(Record):
    """One moment, or recurring times in a time zone."""

    at: Timestamp | None = Field(
        default=None,
        description="One moment, with its offset from UTC.",
        examples=["2026-12-01T06:00:00+09:00"],
    )
    cron: Cron | None = Field(
        default=None,
        description="Recurring times: minute, hour, day of the month, month, day of the week.",
        examples=["30 2 * * sat"],
    )
    time_zone: TimeZone | None = Field(
        default=None,
        description="The time zone of cron. Required with cron.",
        examples=["Asia/Tokyo"],
    )
    window: Annotated[Duration, between(Duration(60), Duration(7 * 86_400))] = Field(
        default=Duration(3600),
        description="How late it may still begin. Between 1m and 1w.",
        examples=["1h"],
    )
    missed: Literal["skip", "run-once", "run-all"] = Field(
        default="skip",
        description="What to do when the window went by, because the server was off. skip: leave "
        "it out. run-once: do it once, as soon as possible. run-all: make up for each, up to the "
        "last 100.",
        examples=["run-once"],
    )
    holidays: Holidays | None = Field(default=None, description="Days on which nothing is started.")

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        if (self.at is None) == (self.cron is None):
            raise InvalidValue(
                "wants exactly one of at and cron",
                'at: "2026-12-01T06:00:00+09:00" for one moment, cron: "30 2 * * sat" for more',
            ).as_pydantic()
        if self.cron is not None and self.time_zone is None:
            raise InvalidValue(
                "cron wants a timeZone", "for example timeZone: Asia/Tokyo", field="cron"
            ).as_pydantic()
        if self.at is not None and self.time_zone is not None:
            raise InvalidValue(
                "at says its offset itself", "remove timeZone", field="timeZone"
            ).as_pydantic()
        return self
