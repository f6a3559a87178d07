"""Windows and calendars: when work may be done."""

from datetime import date

from specs.compile.levels import said_by_levels
from specs.diagnostics.path import Path
from specs.fleet import CompiledWindow, CompiledWindows
from specs.kinds.calendar import Calendar
from specs.kinds.recurrence import Days, Window
from specs.kinds.windows import Windows
from specs.types.clock import WEEKDAYS
from specs.validate.registry import Registry
from specs.validate.resource import Resource

_WINDOWS: Path = ("spec", "windows")


def compile_windows(registry: Registry) -> dict[str, CompiledWindows]:
    """Return the windows of the Fleet document and of groups, by the group; the Fleet's first."""
    return {
        level: _compiled(windows, resource, registry)
        for level, resource, windows in said_by_levels(registry, lambda spec: spec.windows)
    }


def days_of(days: Days | None, registry: Registry) -> tuple[date, ...]:
    """Return the days that are meant, those of the calendars among them, in order."""
    if days is None:
        return ()
    calendars = registry.of_kind("Calendar")
    named = [calendars[name].model for name in days.calendars if name in calendars]
    of_calendars = [each.spec.dates for each in named if isinstance(each, Calendar)]
    return tuple(sorted({*days.dates, *(day for dates in of_calendars for day in dates)}))


def _compiled(windows: Windows, resource: Resource, registry: Registry) -> CompiledWindows:
    return CompiledWindows(
        time_zone=windows.time_zone,
        allow=tuple(map(compiled_window, windows.allow)),
        deny=tuple(map(compiled_window, windows.deny)),
        holidays=days_of(windows.holidays, registry),
        position=resource.document.position(_WINDOWS),
    )


def compiled_window(window: Window) -> CompiledWindow:
    """Return a window with its days and times as numbers."""
    days = sorted({WEEKDAYS.index(day) for day in window.days})
    return CompiledWindow(tuple(days), minutes_of(window.begin), minutes_of(window.end))


def minutes_of(time: str) -> int:
    """Return the minutes from midnight to ``HH:MM``."""
    hours, minutes = time.split(":")
    return int(hours) * 60 + int(minutes)
