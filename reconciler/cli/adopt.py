"""``rackwright adopt``: discovered machines become part of the repository."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import click

from reconciler.app.discovered import discovered_machines
from reconciler.app.project import InvalidRepositoryError, Project, utc_now
from reconciler.authoring.adoption import (
    adopted,
    new_groups,
    placements,
    reported,
    wanted,
)
from reconciler.authoring.insertion import with_documents, with_table_rows
from reconciler.authoring.machine_row import MachineRow
from reconciler.cli.edited_file import below, make_folder, refuse_place, replace_file
from reconciler.cli.options import repo_option, state_option
from reconciler.cli.rewriting import text_diff
from reconciler.git.command import without_login
from reconciler.git.location import RemoteRepository, open_source, parse_location
from reconciler.git.tree import SourceTree
from reconciler.state.database import open_database
from reconciler.state.discovered import DiscoveredMachine
from reconciler.state.hardware import FleetHardware
from reconciler.views.discovered_text import discovered_line
from reconciler.views.untrusted import for_terminal
from specs.compile.fleet import compile_fleet
from specs.fleet import CompiledFleet

_NOBODY = "No unknown machine asked for a boot, and none has an agent."


@click.command()
@click.argument("hardware", nargs=-1, metavar="[MAC|HARDWARE]...")
@click.option("--all", "every", is_flag=True, help="Adopt every machine that is listed.")
@click.option(
    "--group",
    default="",
    metavar="GROUP",
    help="The group of the machines, whatever the enrollment rules say.",
)
@click.option("--name", default="", metavar="NAME", help="The name, for a single machine.")
@click.option(
    "--file",
    "file",
    default=None,
    metavar="FILE",
    help="File in the repository to append Machine documents to.  [default: machines.yaml]",
)
@click.option(
    "--table",
    default=None,
    metavar="FILE",
    help="File in the repository with a MachineTable to add rows to, instead.",
)
@click.option("--explain", is_flag=True, help="Write nothing; show every rule that was asked.")
@click.option("--patch", is_flag=True, help="Write nothing; print a patch for `git apply`.")
@repo_option
@state_option
def adopt(  # noqa: PLR0913, PLR0917 - one argument per option
    hardware: tuple[str, ...],
    every: bool,  # noqa: FBT001 - a flag
    group: str,
    name: str,
    file: str | None,
    table: str | None,
    explain: bool,  # noqa: FBT001 - a flag
    patch: bool,  # noqa: FBT001 - a flag
    repo: str,
    state: Path,
) -> None:
    """Turn discovered machines into documents.

    They asked for a boot or their agents joined by a token, and they are in no document.
    Without a name, list them, and where each belongs. A machine is named by a MAC
    address, by its UUID or by its host name, as the list shows them. Its group is the one of
    --group, else that of the first EnrollmentRule that matches, else that of the token;
    a group that no document has is written too. Its name is its host name where that is
    free, else of its boot NIC. The document is added at the end of FILE, or its row at the end
    of a table; every byte that was there stays. The whole repository is checked with
    it before anything is written. Nothing is committed.

    \b
    Examples:
      rackwright adopt
      rackwright adopt 52:54:00:77:00:12 --explain
      rackwright adopt 52:54:00:77:00:12 --group lab --name node-02
      rackwright adopt --all --table racks/rack07.yaml
      rackwright adopt --all --group lab --patch | git apply
    """  # noqa: D301 - \b keeps click from reflowing the list
    if file is not None and table is not None:
        raise click.UsageError("name either --file or --table")
    Project(repo, None, state).require_state()
    # The files as they are now, edits that are not committed included.
    tree = open_source(repo, None, cache=state / "sources")
    fleet = _compiled(tree.files, tree.revision, "the repository has errors")
    database = open_database(state / "rackwright.db")
    machines = discovered_machines(database, FleetHardware(fleet.machines.values()))
    if not hardware and not every and not explain:
        _list(machines, fleet)
        return
    chosen = wanted(machines, hardware) if hardware and not every else list(machines)
    if not chosen:
        click.echo(_NOBODY, err=True)
        return
    if explain:
        _explain(chosen, fleet)
        return
    placed = placements(chosen, fleet, group)
    rows = adopted(chosen, placed, fleet, name)
    groups = new_groups(placed, fleet)
    path = PurePosixPath(table or file or "machines.yaml").as_posix()
    old, new = _edited(tree, path, rows, groups, is_table=table is not None)
    broken = "the repository would have errors with these machines"
    _compiled({**tree.files, path: new}, tree.revision, broken)
    if patch:
        click.echo(text_diff(path, tree.files.get(path), new), nl=False)
    else:
        _write(repo, path, old, new)
    for row, place in zip(rows, placed, strict=True):
        done = f"adopted: {row.name} ({', '.join(row.macs)}), group {row.group} -> {path}"
        click.echo(f"{done}\n  by {for_terminal(place.reason)}", err=patch)
    for each in groups:
        click.echo(f"new group: {each}, which no document had -> {path}", err=patch)
    if not patch:
        click.echo("Review the change and commit it; nothing happens to the machines before.")


def _compiled(files: Mapping[str, bytes], revision: str, otherwise: str) -> CompiledFleet:
    """Return the fleet of files; InvalidRepositoryError says ``otherwise`` and what is wrong."""
    result = compile_fleet(files, revision)
    if result.fleet is None:
        raise InvalidRepositoryError(otherwise, "\n".join(map(str, result.diagnostics)))
    return result.fleet


def _list(machines: Sequence[DiscoveredMachine], fleet: CompiledFleet) -> None:
    if not machines:
        click.echo(_NOBODY)
        return
    for machine in machines:
        seen = machine.last_seen.strftime("%Y-%m-%d %H:%M:%SZ")
        click.echo(f"{machine.known_by}  {seen}  {machine.uuid or 'no UUID'}")
        for mac in machine.macs[1:]:
            click.echo(f"{mac}  the same machine")
        if machine.agent:
            click.echo(f"  {discovered_line(machine, utc_now())}")
        agent = machine.agent
        if not fleet.enrollment_rules and not (agent and agent.group):
            continue
        rule = reported(machine, fleet).rule
        if rule:
            click.echo(f"  belongs in group {rule.group} by rule {rule.name} ({rule.position})")
        elif agent and agent.group:
            click.echo(f"  belongs in group {agent.group} by token {agent.token_id}")
        else:
            click.echo("  no enrollment rule matches: name its group with --group")
    group = "" if fleet.enrollment_rules else " --group GROUP"
    click.echo(f"\nAdopt one with `rackwright adopt MAC{group}`, all with --all.")
    if fleet.enrollment_rules:
        click.echo("Why a rule fires, and the others do not: `rackwright adopt --explain`.")


def _explain(machines: Sequence[DiscoveredMachine], fleet: CompiledFleet) -> None:
    for machine in machines:
        click.echo(f"{', '.join(machine.macs)}  {machine.uuid or 'no UUID'}")
        report = reported(machine, fleet)
        for line in str(report).splitlines():
            click.echo(f"  {for_terminal(line)}")
        if report.rule is None and machine.agent and machine.agent.group:
            click.echo(f"  token {machine.agent.token_id} has group {machine.agent.group}")


def _edited(
    tree: SourceTree,
    path: str,
    rows: tuple[MachineRow, ...],
    groups: tuple[str, ...],
    *,
    is_table: bool,
) -> tuple[bytes, bytes]:
    """Return the content of a file of the repository without and with the machines."""
    refuse_place(path)
    old = tree.files.get(path, b"")
    if not is_table:
        return old, with_documents(path, old, rows, groups)
    new = with_table_rows(path, old, rows)
    return old, with_documents(path, new, (), groups) if groups else new


def _write(repo: str, path: str, old: bytes, new: bytes) -> None:
    place = parse_location(repo)
    if isinstance(place, RemoteRepository):
        raise click.UsageError(
            f"{without_login(repo)} is no folder: use --patch, or name a working tree"
        )
    file = place / path
    below(place, file)
    make_folder(file.parent)
    replace_file(file, old, new)
