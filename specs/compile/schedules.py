"""Schedules: what happens at a time."""

from collections.abc import Iterable

from specs.compile.selectors import WrittenSelector
from specs.compile.windows import days_of
from specs.fleet import CompiledSchedule
from specs.kinds.recurrence import Recurrence
from specs.kinds.schedule import Schedule
from specs.validate.registry import Registry
from specs.validate.resource import Resource


def compile_schedules(
    selectors: Iterable[WrittenSelector], registry: Registry
) -> dict[str, CompiledSchedule]:
    """Return the schedules among the selectors' documents, by name."""
    return {
        each.resource.name: _compiled(each, model, registry)
        for each in selectors
        if isinstance(model := each.resource.model, Schedule)
    }


def compiled_recurrence(
    resource: Resource, when: Recurrence, registry: Registry
) -> CompiledSchedule:
    """Return the times of a document as a schedule of its name, which does nothing by itself."""
    return CompiledSchedule(
        name=resource.name,
        scenario="",
        power="",
        at=when.at,
        cron=when.cron or "",
        time_zone=when.time_zone or "",
        window_seconds=when.window.seconds,
        missed=when.missed,
        holidays=days_of(when.holidays, registry),
        holiday_action=when.holidays.action if when.holidays else "skip",
        start_interval_seconds=0,
        jitter_seconds=0,
        approved="",
        position=resource.position,
    )


def _compiled(written: WrittenSelector, model: Schedule, registry: Registry) -> CompiledSchedule:
    spec = model.spec
    return compiled_recurrence(written.resource, spec.when, registry)._replace(
        scenario=spec.action.scenario or "",
        power=spec.action.power or "",
        start_interval_seconds=spec.start_interval.seconds if spec.start_interval else 0,
        jitter_seconds=spec.jitter.seconds if spec.jitter else 0,
        approved=spec.approved or "",
        display_name=model.metadata.display_name or "",
    )
