"""Approvals as a terminal shows them."""

from collections.abc import Iterable, Iterator, Mapping

from rich.cells import cell_len
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reconciler.planning.approvals import Requirement, Subject, Waiting
from reconciler.planning.item import Risk
from reconciler.state.hand_results import asked_for
from reconciler.views.plan_text import COLOURS
from reconciler.views.plan_words import SHORT, requirement, short
from reconciler.views.untrusted import for_terminal
from specs.diagnostics.quote import counted
from specs.types.display_name import named

_INDENT = 2
_MOST = 40
_NAME_WIDTH = 36
"""Columns that names of machines have at least before they are folded."""


def subject_parts(
    subject: Subject, names: Mapping[str, str] | None = None
) -> Iterator[RenderableType]:
    """Yield what would be approved: each machine with its work and the disks that it overwrites.

    ``names`` are what people call the machines.
    """
    request, called = subject.request, names or {}
    yield _head(subject)
    if request.reason:
        yield _line(f"reason: {request.reason}")
    # No document says it: whoever approves reads all of it here.
    for asked in dict.fromkeys(asked_for(each) for each, _ in subject.operations):
        if asked:
            yield _line(asked)
    table = Table.grid(padding=(0, 2))
    operations = subject.operations[:_MOST]
    machines = [
        for_terminal(named(called.get(each.machine, ""), each.machine)) for each, _ in operations
    ]
    table.add_column(no_wrap=True)
    table.add_column(
        overflow="fold", min_width=min(_NAME_WIDTH, max(map(cell_len, machines), default=0))
    )
    table.add_column(overflow="fold")
    for machine, (operation, risk) in zip(machines, operations, strict=True):
        disks = ", ".join(disk.key() for disk in operation.instructions.disks)
        what = f"{operation.scenario} run {operation.run}"
        table.add_row(
            Text(str(risk), style=COLOURS[risk]),
            Text(machine),
            Text(for_terminal(f"{what}, overwrites {disks}" if disks else what)),
        )
    yield Padding(table, (0, 0, 0, _INDENT), expand=False)
    left = len(subject.operations) - _MOST
    if left > 0:
        yield _line(f"and {counted(left, 'machine')} more")


def waiting_parts(each: Waiting) -> Iterator[RenderableType]:
    """Yield a plan that waits: what it is, what is missing, and who said what when and why."""
    yield _head(each.subject)
    if each.is_approved:
        ends = [need.until for need in each.requirements if need.until is not None]
        until = f" until {min(ends):%Y-%m-%d %H:%M} UTC" if ends else ""
        yield _line(f"approved, waits for its turn{until}", "green")
    for need in each.requirements:
        style = "yellow" if need.missing and not each.is_approved else ""
        yield _line(requirement(need), style)
    for given in each.given:
        by = f"{given.person}, {given.at:%Y-%m-%d %H:%M} UTC, by {given.means} {given.actor}"
        yield _line(f"{by}: {given.reason}" if given.reason else by, "dim")


def missing_lines(waiting: Iterable[Waiting]) -> Iterator[str]:
    """Yield a line for each rule that a plan which waits does not meet yet."""
    for each in waiting:
        for need in each.requirements:
            if need.missing and not each.is_approved:
                yield f"plan {each.subject.request.digest[:SHORT]}: {requirement(need)}"


def _head(subject: Subject) -> Text:
    request = subject.request
    head = Text(f"plan {request.digest[:SHORT]}", style="bold")
    counts = {risk: sum(each is risk for _, each in subject.operations) for risk in Risk}
    risks = " · ".join(f"{risk} {count:,}" for risk, count in counts.items() if count)
    by_hand = ", by hand" if request.kind == "run" else ""
    what = f"  {risks or 'no work'}, commit {short(request.revision)}{by_hand}"
    return head.append(for_terminal(what), style="not bold")


def _line(text: str, style: str = "") -> Padding:
    return Padding(Text(for_terminal(text), style=style), (0, 0, 0, _INDENT), expand=False)


def waiting_document(each: Waiting) -> dict[str, object]:
    """Return a plan that waits as JSON data."""
    request = each.subject.request
    return {
        "digest": request.digest,
        "kind": request.kind,
        "revision": request.revision,
        "state": "approved" if each.is_approved else "pending",
        "askedAt": request.at.isoformat(),
        "reason": request.reason,
        "operations": [
            {
                "operation": operation.op_id,
                "machine": operation.machine,
                "scenario": operation.scenario,
                "run": operation.run,
                "risk": risk.value,
            }
            for operation, risk in each.subject.operations
        ],
        "requirements": [_requirement(need) for need in each.requirements],
        "given": [
            {
                "person": given.person,
                "at": given.at.isoformat(),
                "means": given.means,
                "actor": given.actor,
                "tag": given.tag,
                "reason": given.reason,
            }
            for given in each.given
        ],
    }


def _requirement(need: Requirement) -> dict[str, object]:
    return {
        "for": need.what,
        "roles": list(need.rule.roles),
        "persons": need.rule.persons,
        "missing": need.missing,
        "given": [{"person": name, "until": end.isoformat()} for name, end in need.given],
        "may": list(need.may),
    }
