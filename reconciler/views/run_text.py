"""Runs as a terminal shows them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from rich import box
from rich.console import RenderableType
from rich.filesize import decimal
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reconciler.state.hand_results import asked_for
from reconciler.state.machine_history import PastOperation, StepTiming
from reconciler.state.operation_states import OperationState
from reconciler.state.package_results import package_results
from reconciler.state.run_evidence import EvidenceFile
from reconciler.state.runs import RunSummary
from reconciler.views.age import ago, duration
from reconciler.views.progress import STEP_WORDS
from reconciler.views.untrusted import for_terminal
from specs.types.display_name import named

OUTPUT = "output"
"""What a command printed last, among the results of its step."""
_MOST_LINES = 8
"""Of what an installer that failed printed last."""
_MOST_DELAYS = 3
_INDENT = 2
_LONGEST_REASON = 100
"""Characters of a reason in the list."""
_NARROW = 100
"""Columns under which the less important ones are left out."""
COLOURS = {
    OperationState.VERIFIED: "green",
    OperationState.FAILED: "red",
    OperationState.INDETERMINATE: "red",
    OperationState.CANCELLED: "yellow",
}


def runs_table(runs: Sequence[RunSummary], now: datetime, width: int) -> Table:
    """Return one row per run."""
    narrow = width < _NARROW
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("run", no_wrap=True)
    table.add_column("approved", no_wrap=True)
    if not narrow:
        table.add_column("by", no_wrap=True)
    table.add_column("what", overflow="fold")
    table.add_column("how it went", overflow="fold")
    table.add_column("why", overflow="fold")
    for each in runs:
        run = each.run
        by = [] if narrow else [Text(for_terminal(run.actor))]
        table.add_row(
            Text(for_terminal(run.run_id)),
            Text(ago(run.at, now)),
            *by,
            Text(for_terminal(", ".join(each.scenarios))),
            _counts(each.counts),
            Text(_begin_of(for_terminal(run.reason or "-"))),
        )
    return table


def _begin_of(text: str) -> str:
    """Return what a list shows of a text; the run itself shows all of it."""
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"


def run_parts(
    summary: RunSummary,
    operations: Iterable[PastOperation],
    evidence: Mapping[str, Sequence[EvidenceFile]],
    now: datetime,
    names: Mapping[str, str] | None = None,
) -> Iterator[RenderableType]:
    """Yield a run and its machines, each with its steps; ``names`` are what people call them."""
    run = summary.run
    yield Text(for_terminal(f"run {run.run_id}"), style="bold")
    by = f"{run.kind} by {run.actor}, {ago(run.at, now)} ({run.at:%Y-%m-%d %H:%M:%S} UTC)"
    for line in (by, f"reason: {run.reason or 'none was asked for'}"):
        yield Padding(Text(for_terminal(line)), (0, 0, 0, _INDENT), expand=False)
    of = f"commit {run.revision[:12]}"
    of += f", plan {run.plan_digest[:12]}" if run.plan_digest else ""
    yield Padding(Text(for_terminal(of), style="dim"), (0, 0, 0, _INDENT), expand=False)
    yield Padding(_counts(summary.counts), (0, 0, 0, _INDENT), expand=False)
    for each in operations:
        yield Text("")
        shown = named((names or {}).get(each.operation.machine, ""), each.operation.machine)
        yield from _operation(shown, each, evidence.get(each.operation.op_id, ()), now)


def _operation(
    machine: str, each: PastOperation, evidence: Sequence[EvidenceFile], now: datetime
) -> Iterator[RenderableType]:
    operation, last = each.operation, each.lines[-1]
    head = Text(for_terminal(machine), style="bold")
    head.append(f"  {each.state.value}", style=f"not bold {COLOURS.get(each.state, '')}".strip())
    seconds = each.seconds(now)
    if seconds is not None:
        head.append(f" {'after' if each.has_ended else 'since'} {duration(seconds)}", "not bold")
    yield head
    what = f"{operation.scenario} run {operation.run}, operation {operation.op_id[:12]}"
    yield Padding(Text(for_terminal(what), style="dim"), (0, 0, 0, _INDENT), expand=False)
    if asked := asked_for(operation):
        yield Padding(Text(for_terminal(asked)), (0, 0, 0, _INDENT), expand=False)
    if last.reason:
        yield Padding(Text(for_terminal(last.reason)), (0, 0, 0, _INDENT), expand=False)
    if each.delays:
        waited = Text(for_terminal(_waited(each, now)), style="dim")
        yield Padding(waited, (0, 0, 0, _INDENT), expand=False)
    if each.known_steps:
        yield Padding(_steps(each, now), (0, 0, 0, _INDENT), expand=False)
    yield from _outputs(each.known_steps, last.reason)
    yield from _packages(each.known_steps)
    if evidence:
        yield Padding(_evidence(evidence), (0, 0, 0, _INDENT), expand=False)


def _steps(each: PastOperation, now: datetime) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    for _ in range(3):
        table.add_column(justify="right", no_wrap=True)
    for step in each.known_steps:
        table.add_row(*_step(each, step, now))
    return table


def _outputs(steps: Iterable[StepTiming], reason: str) -> Iterator[RenderableType]:
    """Yield what commands printed last, but for what the ``reason`` of the end has already."""
    for step in steps:
        output = step.result.get(OUTPUT, "").strip()
        if output and output in reason:
            continue
        if output:
            title = f"output of step {step.step + 1}:"
            yield Padding(Text(for_terminal(title)), (0, 0, 0, _INDENT), expand=False)
        for line in output.splitlines():
            yield Padding(Text(for_terminal(line)), (0, 0, 0, 2 * _INDENT), expand=False)


def _packages(steps: Iterable[StepTiming]) -> Iterator[RenderableType]:
    """Yield what became of each package, and what installers that failed printed last."""
    for result in (result for step in steps for result in package_results(step.result)):
        shown = f"{result.name}  {result.state}"
        before, after = result.version_before, result.version_after
        if after:
            shown += f"  {before} → {after}" if before not in {"", after} else f"  {after}"
        shown += f"  {result.code}: {result.cause}" if result.code else ""
        yield Padding(Text(for_terminal(shown)), (0, 0, 0, _INDENT), expand=False)
        output = "" if result.is_there else result.output.strip()
        for line in output.splitlines()[-_MOST_LINES:]:
            yield Padding(Text(for_terminal(line), "dim"), (0, 0, 0, 2 * _INDENT), expand=False)


def _waited(each: PastOperation, now: datetime) -> str:
    """Return ``waited 3 min for …; 2 h for …``, the longest first, each reason once."""
    seconds: dict[str, float] = {}
    for delay in each.delays:
        lasted = ((delay.until or now) - delay.since).total_seconds()
        seconds[delay.why] = seconds.get(delay.why, 0) + lasted
    longest = sorted(seconds.items(), key=lambda found: -found[1])
    said = [f"{duration(lasted)} for {why}" for why, lasted in longest[:_MOST_DELAYS]]
    more = len(longest) - len(said)
    waits = "waits" if each.delays[-1].until is None and not each.has_ended else "waited"
    return f"{waits} {'; '.join(said)}" + (f"; and for {more:,} more" if more > 0 else "")


def _evidence(files: Sequence[EvidenceFile]) -> Text:
    """Return ``logs: agent, disks, dmesg``, of each attempt where there were several."""
    attempts = sorted({file.attempt for file in files})
    parts = []
    for attempt in attempts:
        names = ", ".join(file.name for file in files if file.attempt == attempt)
        parts.append(names if len(attempts) == 1 else f"attempt {attempt}: {names}")
    return Text(for_terminal(f"logs: {'; '.join(parts)}"), style="dim")


def _step(each: PastOperation, step: StepTiming, now: datetime) -> tuple[Text, Text, Text, Text]:
    name = STEP_WORDS[each.operation.instructions.steps[step.step].STEP_TYPE]
    if each.lines[-1].attempt > 1:
        name += f" (attempt {step.attempt})"
    end = step.ended_at or (None if each.has_ended else now)
    took = (end - step.began_at).total_seconds() if end else None
    rate = decimal(int(step.bytes_done / took)) + "/s" if took and step.bytes_done else ""
    return (
        Text(name),
        Text("not ended" if took is None else duration(took)),
        Text(decimal(step.bytes_done) if step.bytes_done else ""),
        Text(rate),
    )


def _counts(counts: Mapping[OperationState, int]) -> Text:
    """Return ``3 verified · 1 failed``, in the order of the states."""
    found = Text()
    for state in OperationState:
        if counts.get(state):
            found.append(" · " if found else "")
            found.append(f"{counts[state]:,} {state.value}", style=COLOURS.get(state, ""))
    return found
