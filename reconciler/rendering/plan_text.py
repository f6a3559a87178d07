"""The plan as a terminal shows it: verdict first, largest risk first."""

from datetime import datetime
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reconciler.planning.plan import Plan, PlanItem, Risk
from reconciler.rendering.age import ago

COLOURS = {
    Risk.DESTRUCTIVE: "bold red",
    Risk.DISRUPTIVE: "yellow",
    Risk.SAFE: "green",
    Risk.BLOCKED: "magenta",
    Risk.UNKNOWN: "cyan",
}
_DETAIL_INDENT = 4


def verdict(plan: Plan) -> Text:
    """Return the verdict line: every risk with its count."""
    parts = [
        Text(f"{risk} {count}", style=COLOURS[risk] if count else "dim")
        for risk, count in plan.counts.items()
    ]
    return Text(" · ").join(parts)


def plan_text(plan: Plan, describe: str, now: datetime, notice: str = "") -> RenderableType:
    """Return the whole plan. ``describe`` says which revision it is, for people.

    ``notice`` is what they should know of the revision's acceptance.
    """
    lines: list[RenderableType] = [
        verdict(plan),
        Text(f"{describe} · plan {plan.digest[:12]}", style="dim"),
    ]
    if notice:
        lines.append(Text(notice, style="yellow"))
    if plan.empty:
        lines.append(Text("Nothing to do: every machine is as the repository wants it."))
        return Group(*lines)
    for (risk, action, group), items in groupby(
        plan.items, key=lambda item: (item.risk, item.action, item.group)
    ):
        members = list(items)
        lines.append(Text())
        heading = Text(str(risk), style=COLOURS[risk])
        heading.append(f"  {action}", style="bold")
        heading.append(f" · {group or 'no group'} · {_count(len(members))}")
        lines.append(heading)
        lines += [_item(item, now) for item in members]
    return Group(*lines)


def print_plan(
    console: Console, plan: Plan, describe: str, now: datetime, notice: str = ""
) -> None:
    """Print the plan."""
    console.print(plan_text(plan, describe, now, notice), highlight=False)


def _count(machines: int) -> str:
    return "1 machine" if machines == 1 else f"{machines} machines"


def _item(item: PlanItem, now: datetime) -> RenderableType:
    head = Text(f"  {item.machine}", style="bold")
    head.append(f"  {item.reason}", style="not bold")
    details = Table.grid(padding=(0, 2))
    details.add_column(style="dim", no_wrap=True)
    details.add_column(overflow="fold")
    for disk in item.disks:
        name = " ".join(part for part in (disk.model, disk.serial, disk.wwn) if part)
        details.add_row(
            Text("overwrites", style="red"),
            Text(
                f"{name} · {decimal(disk.size)} · holds {disk.holds} · "
                f"seen {ago(disk.observed_at, now)}"
            ),
        )
    if item.disks:
        details.add_row("leaves alone", "; ".join(item.spared) or "there is no other disk")
    for image in item.images:
        details.add_row(
            "image",
            f"{image.name} {image.manifest[:12]} · {decimal(image.used_bytes)} used · "
            f"captured {ago(image.created, now)}",
        )
    if item.cause is not None:
        path = f" (along {' → '.join(item.cause.path)})" if item.cause.path else ""
        details.add_row("because of", f"{item.cause.position}{path}")
    if not item.disks:
        details.add_row("last heard", ago(item.observed_at, now))
    return Group(head, Padding(details, (0, 0, 0, _DETAIL_INDENT), expand=False))
