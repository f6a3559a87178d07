"""``rackwright schedule``: what schedules did and will do."""

from json import dumps

import click

from reconciler.app.project import Project, utc_now
from reconciler.app.schedules import find_schedule, machines_of, schedules_of
from reconciler.cli.options import format_option, project_options
from reconciler.views.console import console
from reconciler.views.schedule_json import machine_document, schedule_document
from reconciler.views.schedule_text import machine_parts, result, schedule_parts, settings_of


@click.group()
def schedule() -> None:
    """Show what schedules did and will do."""


@schedule.command()
@project_options
@format_option
def ls(project: Project, output_format: str) -> None:
    """List the schedules: when each acts next, and how its last times went.

    Times are those of each schedule's time zone.
    """
    found = schedules_of(project, utc_now())
    if output_format == "json":
        click.echo(dumps({"schedules": [schedule_document(*each) for each in found]}, indent=2))
        return
    if not found:
        click.echo("no schedules: a Schedule document makes one")
    for index, each in enumerate(found):
        if index:
            click.echo()
        for part in schedule_parts(*each):
            console().print(part)


@schedule.command()
@click.argument("name")
@project_options
@format_option
def show(project: Project, name: str, output_format: str) -> None:
    """Show one schedule, and what became of each machine at its newest times."""
    found = find_schedule(project, name, utc_now())
    machines = [machines_of(project, each.occurrence) for each in found.past]
    if output_format == "json":
        document = schedule_document(*found)
        for past, parts in zip(document["last"], machines, strict=True):
            past["machines"] = [machine_document(each) for each in parts]
        click.echo(dumps(document, indent=2))
        return
    screen = console()
    for part in schedule_parts(*found):
        screen.print(part)
    screen.print(settings_of(found.schedule), style="dim")
    for past, parts in zip(found.past, machines, strict=True):
        if parts:
            screen.print()
            screen.print(result(*past), highlight=False, markup=False)
            for shown in machine_parts(parts, project.display_names):
                screen.print(shown)
