"""``rackwright adopt``: discovered machines become part of the repository."""

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import repo_option, state_option

if TYPE_CHECKING:
    from reconciler.authoring.adoption import DiscoveredMachine
    from reconciler.authoring.machine_row import MachineRow
    from reconciler.source.tree import SourceTree
    from specs.compiled import CompiledFleet


@click.command()
@click.argument("hardware", nargs=-1, metavar="[MAC|HARDWARE]...")
@click.option("--all", "every", is_flag=True, help="Adopt every machine that is listed.")
@click.option("--group", default="", metavar="GROUP", help="The group of the machines.")
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
    patch: bool,  # noqa: FBT001 - a flag
    repo: str,
    state: Path,
) -> None:
    """Turn machines that asked for a boot and are in no document into documents.

    Without a name, list them. A machine is named by a MAC address or by its UUID, as
    the list shows them. Its document is added at the end of FILE, or its row at the
    end of a table; every byte that was there stays. The whole repository is checked
    with it before anything is written. Nothing is committed.

    \b
    Examples:
      rackwright adopt
      rackwright adopt 52:54:00:77:00:12 --group lab --name node-02
      rackwright adopt --all --group lab --table racks/rack07.yaml
      rackwright adopt --all --group lab --patch | git apply
    """  # noqa: D301 - \b keeps click from reflowing the list
    from reconciler.authoring.adoption import adopted, wanted  # noqa: PLC0415 - not for --help

    if file is not None and table is not None:
        raise click.UsageError("name either --file or --table")
    tree, fleet = _repository(repo, state)
    machines = _discovered(state, fleet)
    if not hardware and not every:
        _list(machines)
        return
    chosen = list(machines) if every else wanted(machines, hardware)
    if not chosen:
        click.echo("No unknown machine asked for a boot.", err=True)
        return
    rows = adopted(chosen, fleet, name, lambda _: group)
    path = PurePosixPath(table or file or "machines.yaml").as_posix()
    old, new = _edited(tree, path, rows, is_table=table is not None)
    _refuse_broken(tree, path, new)
    if patch:
        from reconciler.cli.rewriting import text_diff  # noqa: PLC0415

        click.echo(text_diff(path, tree.files.get(path), new), nl=False)
        return
    _write(repo, path, old, new)
    for row in rows:
        click.echo(f"adopted: {row.name} ({', '.join(row.macs)}), group {row.group} -> {path}")
    click.echo("Review the change and commit it; nothing happens to the machines before.")


def _repository(repo: str, state: Path) -> "tuple[SourceTree, CompiledFleet]":
    """Return the files as they are now, edits that are not committed included."""
    from reconciler.cli.workspace import InvalidRepositoryError  # noqa: PLC0415
    from reconciler.source.location import open_source  # noqa: PLC0415
    from specs.compile import compile_fleet  # noqa: PLC0415

    tree = open_source(repo, None, cache=state / "sources")
    result = compile_fleet(tree.files, tree.revision)
    if result.fleet is None:
        raise InvalidRepositoryError(*_invalid("the repository has errors", result.problems))
    return tree, result.fleet


def _invalid(what: str, problems: tuple[object, ...]) -> tuple[str, str, str]:
    listing = "\n".join(map(str, problems))
    return "RW901", f"{what}\n{listing}", "Correct them; nothing else was done"


def _discovered(state: Path, fleet: "CompiledFleet") -> "tuple[DiscoveredMachine, ...]":
    from reconciler.authoring.adoption import discovered  # noqa: PLC0415
    from reconciler.store.database import open_database  # noqa: PLC0415
    from reconciler.store.sightings import sightings  # noqa: PLC0415

    known = [mac for machine in fleet.machines.values() for mac in machine.macs]
    return discovered(sightings(open_database(state / "rackwright.db"), known))


def _list(machines: "tuple[DiscoveredMachine, ...]") -> None:
    if not machines:
        click.echo("No unknown machine asked for a boot.")
        return
    for machine in machines:
        seen = machine.last_seen.strftime("%Y-%m-%d %H:%M:%SZ")
        click.echo(f"{machine.macs[0]}  {seen}  {machine.uuid or 'no UUID'}")
        for mac in machine.macs[1:]:
            click.echo(f"{mac}  the same machine")
    click.echo("\nAdopt one with `rackwright adopt MAC --group GROUP`, all with --all.")


def _edited(
    tree: "SourceTree", path: str, rows: "tuple[MachineRow, ...]", *, is_table: bool
) -> tuple[bytes, bytes]:
    """Return the content of a file of the repository without and with the machines."""
    from reconciler.authoring.insertion import with_documents, with_table_rows  # noqa: PLC0415
    from reconciler.cli.edited_file import refuse_place  # noqa: PLC0415

    refuse_place(path)
    old = tree.files.get(path, b"")
    if is_table:
        return old, with_table_rows(path, old, rows)
    return old, with_documents(path, old, rows)


def _refuse_broken(tree: "SourceTree", path: str, new: bytes) -> None:
    from reconciler.cli.workspace import InvalidRepositoryError  # noqa: PLC0415
    from specs.compile import compile_fleet  # noqa: PLC0415

    result = compile_fleet({**tree.files, path: new}, tree.revision)
    if result.fleet is None:
        what = "the repository would have errors with these machines"
        raise InvalidRepositoryError(*_invalid(what, result.problems))


def _write(repo: str, path: str, old: bytes, new: bytes) -> None:
    from reconciler.cli.edited_file import below, make_folder, replace_file  # noqa: PLC0415
    from reconciler.source.location import RemoteRepository, parse_location  # noqa: PLC0415

    place = parse_location(repo)
    if isinstance(place, RemoteRepository):
        raise click.UsageError(f"{repo} is no folder: use --patch, or name a working tree")
    file = place / path
    below(place, file)
    make_folder(file.parent)
    replace_file(file, old, new)
