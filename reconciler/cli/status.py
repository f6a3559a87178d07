"""``rackwright status``: every machine, wanted and observed."""

from dataclasses import asdict
from json import dumps
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import format_option, project_options, select_option

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.app.project import Project
    from reconciler.errors import ReconcilerError
    from reconciler.planning.conditions import FleetStatus


@click.command()
@project_options
@select_option
@click.option(
    "--group", default="", metavar="PATH", help="Only machines of this group and all below it."
)
@click.option(
    "--search", default="", metavar="TEXT", help="Only machines whose names have TEXT in them."
)
@click.option(
    "--condition",
    "conditions",
    multiple=True,
    type=click.Choice(
        ["Ready", "Reconciling", "Stalled", "Unknown", "Drifted", "Duplicate", "Unhealthy"],
        case_sensitive=False,
    ),
    help="Only machines in this condition; can be given several times.",
)
@click.option("--full", is_flag=True, help="Show every machine instead of a screenful.")
@format_option
def status(  # noqa: PLR0913, PLR0917 - one argument per option
    project: "Project",
    select: str,
    group: str,
    search: str,
    conditions: tuple[str, ...],
    output_format: str,
    *,
    full: bool,
) -> int:
    """Show every machine: its condition, why, and when it was last heard of.

    The first line counts the machines by condition. Of a large fleet the groups are
    counted and what is not Ready is listed; the filters choose machines, all of them
    must match. Where the revision of REF is not acceptable, the machines are compared with the
    last accepted one, which `serve` holds at, and the reason is shown.

    \b
    Examples:
      rackwright status --condition Stalled
      rackwright status --group tokyo/row2
      rackwright status --select 'name=node-07*,label:role=compute' --full

    Exit code 0 when every machine that --group, --select and --search mean is Ready, whatever
    --condition lists of them; else 1, also when they mean none, and while the fleet is
    observe-only.
    """  # noqa: D301 - \b keeps click from reflowing the list
    from reconciler.app.machine_selection import MachineFilter, why_none  # noqa: PLC0415
    from reconciler.app.project import utc_now  # noqa: PLC0415
    from reconciler.app.status import fleet_status  # noqa: PLC0415

    held = project.hold()
    now = utc_now()
    wanted = MachineFilter(select, group, search)
    found = fleet_status(project, wanted, conditions, now)
    for note in project.notes:
        click.echo(note, err=True)
    if output_format == "json":
        click.echo(_document(project, found, held))
    else:
        _print(project, found, held, now, full=full)
        if not found.total and any(wanted):
            click.echo(why_none(project.fleet, wanted), err=True)
        elif conditions and not found.machines:
            click.echo(f"no machine is {' or '.join(conditions)}", err=True)
    if project.observe_only is not None:
        return 1
    if not found.total:
        return 1 if any(wanted) else 0
    return 0 if found.total == found.counts["Ready"] else 1


def _print(
    project: "Project",
    found: "FleetStatus",
    held: "ReconcilerError | None",
    now: "datetime",
    *,
    full: bool,
) -> None:
    from rich.text import Text  # noqa: PLC0415 - JSON needs no Rich

    from reconciler.state.witness import WHAT_TO_DO  # noqa: PLC0415 - likewise
    from reconciler.views.console import console  # noqa: PLC0415 - likewise
    from reconciler.views.discovered_text import discovered_lines  # noqa: PLC0415 - likewise
    from reconciler.views.status_text import (  # noqa: PLC0415 - likewise
        MOST_MACHINES,
        full_lines,
        heading,
        status_lines,
    )
    from reconciler.views.untrusted import for_terminal  # noqa: PLC0415 - likewise

    screen = console()
    if project.observe_only is not None:
        screen.print(Text(for_terminal(f"{project.observe_only}."), style="bold red"))
        screen.print(Text(f"Nothing begins on any machine. {WHAT_TO_DO}.", style="red"))
    if held:
        for line in (f"held at {project.describe}", f"because {held}"):
            screen.print(Text("\n".join(map(for_terminal, line.splitlines())), style="yellow"))
    if full and len(found.machines) > MOST_MACHINES:
        for part in heading(found, now):
            screen.print(part)
        click.echo("\n".join(full_lines(found.machines, now)))
    else:
        for part in status_lines(found, now, screen.width):
            screen.print(part)
    for line in discovered_lines(found.discovered, now):
        screen.print(Text(line))


def _document(project: "Project", found: "FleetStatus", held: "ReconcilerError | None") -> str:
    """Return the JSON text, one machine a line: a program that indents takes a second more."""
    from attrs import asdict as fields  # noqa: PLC0415 - slow to load

    from reconciler.state.witness import WHAT_TO_DO  # noqa: PLC0415 - slow to load
    from reconciler.views.discovered_text import discovered_document  # noqa: PLC0415 - likewise
    from reconciler.views.inventory_documents import inventory_summary  # noqa: PLC0415 - likewise
    from reconciler.views.machine_details import further_documents  # noqa: PLC0415 - slow to load
    from reconciler.views.reboot_locks import lock_document  # noqa: PLC0415 - likewise
    from reconciler.views.rollout_json import summary_document  # noqa: PLC0415 - likewise
    from reconciler.views.schedule_words import upcoming_document  # noqa: PLC0415 - likewise
    from reconciler.views.status_text import scrub_document  # noqa: PLC0415 - likewise

    observes = project.observe_only
    head = {
        "observeOnly": observes and {**fields(observes), "action": WHAT_TO_DO},
        "revision": project.fleet.revision,
        "held": str(held) if held else None,
        "counts": dict(found.counts),
        "further": dict(found.further),
        "unknownMacs": sorted(mac for each in found.discovered if each.booted for mac in each.macs),
        "discovered": [discovered_document(each) for each in found.discovered],
        "approvals": list(found.approvals),
        "faults": [
            {**asdict(each), "since": each.since.isoformat(), "at": each.at.isoformat()}
            for each in found.faults
        ],
        "breakers": [
            {**each._asdict(), "since": each.since.isoformat()} for each in found.breakers
        ],
        "rebootLocks": [lock_document(each) for each in found.reboot_locks],
        "rollouts": [summary_document(each) for each in found.rollouts],
        "imageScrub": scrub_document(found.scrub),
        "scheduled": [upcoming_document(each) for each in found.scheduled],
    }
    machines = ",\n    ".join(
        dumps(
            {
                "machine": each.machine,
                "displayName": each.display_name,
                "group": each.group,
                "groupDisplayName": each.group_display_name,
                "condition": each.condition,
                "reason": each.reason,
                "run": each.run,
                "scenarioDisplayName": each.scenario_display_name,
                "since": each.since and each.since.isoformat(),
                "last_seen": each.last_seen and each.last_seen.isoformat(),
                "further": further_documents(each),
                "inventory": inventory_summary(found.inventories.get(each.machine)),
            }
        )
        for each in found.machines
    )
    listed = f"[\n    {machines}\n  ]" if machines else "[]"
    return f'{dumps(head, indent=2)[:-2]},\n  "machines": {listed}\n}}'
