"""``rackwright status``: every machine, wanted and observed."""

from json import dumps
from pathlib import Path

import click

from reconciler.cli.options import format_option, ref_option, repo_option, state_option


@click.command()
@repo_option
@ref_option
@state_option
@format_option
def status(repo: str, ref: str | None, state: Path, output_format: str) -> int:
    """Show every machine: its condition, why, and when it was last heard of.

    Where the revision of REF is not acceptable, the machines are compared with the
    last accepted one, which `serve` holds at, and the reason is shown.

    Exit code 0 when every machine is Ready, else 1.
    """
    from reconciler.app.project import Project, utc_now  # noqa: PLC0415
    from reconciler.planning.planner import plan  # noqa: PLC0415
    from reconciler.views.machine_state import machine_states  # noqa: PLC0415

    project = Project(repo, ref, state)
    held = project.hold()
    now = utc_now()
    observed = project.observed(now)
    states = machine_states(project.fleet, observed, plan(project.fleet, observed, now))
    if output_format == "json":
        document = {
            "revision": project.fleet.revision,
            "held": str(held) if held else None,
            "machines": [
                {
                    "machine": each.machine,
                    "displayName": each.display_name,
                    "group": each.group,
                    "groupDisplayName": each.group_display_name,
                    "condition": each.condition,
                    "reason": each.reason,
                    "run": each.run,
                    "scenarioDisplayName": each.scenario_display_name,
                    "last_seen": each.last_seen and each.last_seen.isoformat(),
                }
                for each in states
            ],
            "unknownMacs": list(observed.unknown_macs),
        }
        click.echo(dumps(document, indent=2))
    else:
        from reconciler.views.console import console  # noqa: PLC0415 - JSON needs no Rich
        from reconciler.views.status_text import status_table  # noqa: PLC0415

        screen = console()
        if held:
            screen.print(f"held at {project.describe}", style="yellow", highlight=False)
            screen.print(f"because {held}", style="yellow", highlight=False)
        screen.print(status_table(states, now))
        if observed.unknown_macs:
            screen.print(f"discovered, in no document: {', '.join(observed.unknown_macs)}")
    return 0 if all(each.condition == "Ready" for each in states) else 1
