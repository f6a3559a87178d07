"""Updates as a terminal shows them."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agent.wire.package import PackageResult
from reconciler.planning.update_coverage import PackageCoverage, PolicyCoverage
from reconciler.state.update_status import UpdateResult, UpdateStatus
from reconciler.views.age import ago
from reconciler.views.inventory_text import table
from reconciler.views.untrusted import for_terminal
from specs.diagnostics.quote import counted
from specs.fleet import CompiledPackage

_MOST_STANDINGS = 6
_MOST_NAMES = 3
_PHASES = {
    "idle": "nothing is under way",
    "fetching": "looks what is missing, and fetches it",
    "waiting": "waits until it may install",
    "installing": "installs",
    "restart": "waits until it may restart",
}


def policy_parts(policies: Iterable[PolicyCoverage]) -> Iterator[RenderableType]:
    """Yield each policy with its packages, and why machines do not have them."""
    for each in policies:
        line = Text(for_terminal(each.policy.name), style="bold")
        line.append(f"  {counted(each.machines, 'machine')}", style="not bold")
        yield line
        if not each.packages:
            yield Padding("no package is wanted", (0, 0, 0, 2))
            continue
        grid = Table.grid(padding=(0, 2))
        grid.add_column(overflow="fold")
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for package in each.packages:
            grid.add_row(package_title(package.package), _have(package), _others(package))
            for row in _standings(package):
                grid.add_row("", *row)
        yield Padding(grid, (0, 0, 0, 2), expand=False)


def package_title(package: CompiledPackage) -> str:
    """Return a package with its version and the advisory that it answers."""
    answers = f" ({package.bulletin})" if package.bulletin else ""
    return for_terminal(f"{package.name} {package.version}".rstrip() + answers)


def _have(package: PackageCoverage) -> str:
    return f"{package.have:,} of {package.wanted:,}"


def _others(package: PackageCoverage) -> Text:
    others = f"; {package.others:,} are other systems" if package.others else ""
    return Text(f"have it{others}", style="dim" if package.rest else "green")


def _standings(package: PackageCoverage) -> Iterator[tuple[Text, Text]]:
    for each in package.rest[:_MOST_STANDINGS]:
        names = ", ".join(each.machines[:_MOST_NAMES])
        more = f" and {len(each.machines) - _MOST_NAMES:,} more"
        shown = f"{names}{more if len(each.machines) > _MOST_NAMES else ''}"
        style = "red" if each.why.startswith(("failed", "not tried")) else "yellow"
        line = Text(for_terminal(each.why), style=style)
        line.append(f"  {for_terminal(shown)}", style="dim")
        yield Text(f"{len(each.machines):>5,}", style=style), line
    left = package.rest[_MOST_STANDINGS:]
    if left:
        count = sum(len(each.machines) for each in left)
        yield Text(f"{count:>5,}"), Text(f"for {len(left):,} other reasons: --format json")


def machine_parts(status: UpdateStatus, now: datetime) -> Iterator[RenderableType]:
    """Yield how far a machine is, and its packages."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    since = f", since {ago(status.since, now)}" if status.since else ""
    grid.add_row("state", Text(for_terminal(f"{_PHASES[status.phase]}{since}")))
    if status.why:
        code = f"{status.code}: " if status.code else ""
        grid.add_row("because", Text(for_terminal(f"{code}{status.why}"), style="yellow"))
    grid.add_row("looked", ago(status.checked, now) if status.checked else "never")
    coming = f"{status.next_check:%Y-%m-%d %H:%M} UTC" if status.next_check else "when told to"
    grid.add_row("looks next", coming)
    grid.add_row("said", ago(status.at, now))
    yield Padding(grid, (0, 0, 0, 2), expand=False)
    if status.results:
        yield table(("package", "state", "before", "now", ""), map(_result_row, status.results))


def history_parts(history: Iterable[UpdateResult], now: datetime) -> Iterator[RenderableType]:
    """Yield what was done to packages, the newest first; what was there already is left out."""
    rows = [
        (ago(each.at, now), *_result_row(each.result))
        for each in history
        if each.result.state != "present"
    ]
    if rows:
        yield Text("history", style="bold")
        yield table(("when", "package", "state", "before", "now", ""), rows)


def _result_row(result: PackageResult) -> tuple[str, ...]:
    said = f"{result.code}: {result.cause}" if result.code else ""
    state = f"{result.state}, wants a restart" if result.reboot else result.state
    state = f"{result.state}, stalled" if result.stalled else state
    name = f"{result.name} {result.version}".rstrip()
    return name, state, result.version_before, result.version_after, said
