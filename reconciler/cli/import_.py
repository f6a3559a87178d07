"""``rackwright import``: files of other systems become documents."""

from collections.abc import Callable, Iterable
from pathlib import Path

import click

from reconciler.authoring.dpm import read_addresses, read_names
from reconciler.authoring.dpm_documents import dpm_documents
from reconciler.authoring.foreign_text import ENCODINGS, foreign_text
from reconciler.authoring.ids_file import IdsFile, ids_text, read_ids
from reconciler.authoring.imported_names import Ids, ImportedNames
from reconciler.authoring.machine_csv import MachineList, as_table, read_csv, refused
from reconciler.authoring.machine_row import MachineRow, documents_text, group_text
from reconciler.cli.edited_file import create_files, read_file, refuse_existing
from reconciler.cli.options import FOLDER

_FILE = click.Path(path_type=Path)


def _reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add what both commands ask about the files and the names in them."""
    for option in (
        click.option(
            "--write-ids",
            type=_FILE,
            metavar="FILE.csv",
            help="Write the id of each converted name to this new file, for --ids.",
        ),
        click.option(
            "--ids",
            "ids_file",
            type=_FILE,
            metavar="FILE.csv",
            help="Ids that you choose: columns name and id; /a/b is a group.",
        ),
        click.option(
            "--encoding",
            type=click.Choice(list(ENCODINGS)),
            default=None,
            help="How the files are written, where that is not recognised.",
        ),
    ):
        command = option(command)
    return command


@click.group("import")
def import_() -> None:
    """Turn files of other systems into documents. Nothing is written on any error."""


@import_.command("csv")
@click.argument("file", type=_FILE)
@click.option(
    "--out",
    required=True,
    type=_FILE,
    metavar="FILE.yaml",
    help="The file to write; it must not exist.",
)
@click.option("--group", default="", metavar="GROUP", help="For rows without a group.")
@click.option(
    "--groups",
    type=_FILE,
    metavar="FILE.yaml",
    help="Write the Group documents of the rows to this new file, too.",
)
@click.option(
    "--as",
    "form",
    type=click.Choice(["machines", "table"]),
    default="machines",
    show_default=True,
    help="One Machine document for each row, or one MachineTable for all.",
)
@_reading_options
def import_csv(  # noqa: PLR0913 - one parameter for each option
    *,
    file: Path,
    out: Path,
    group: str,
    groups: Path | None,
    form: str,
    encoding: str | None,
    ids_file: Path | None,
    write_ids: Path | None,
) -> None:
    """Turn a list of machines into documents.

    The first line names the columns: name and macs and, as needed, the other fields
    of the rows of a MachineTable (addresses with prefix length, or a column Subnet
    Mask), assign (scenario=run) and label.KEY.
    Headings such as "Machine Name", "MAC Address", "IP Address", "Machine Group" and
    their Japanese forms are understood, and so is what spreadsheets save. UTF-8, UTF-16
    and Shift_JIS are recognised; where two fit, --encoding says which is meant.

    A name that is no id gets one and stays as displayName: small letters, one "-" for
    every run of other characters, and a digest where letters are lost. Each is listed;
    of two names with one id, one is numbered. All errors are listed at once, with their
    lines.

    \b
    Examples:
      rackwright import csv machines.csv --out machines.yaml --group tokyo/row2
      rackwright import csv machines.csv --out machines.yaml --as table
    """  # noqa: D301 - \b keeps click from reflowing the list
    if out in {groups, write_ids} or (groups and groups == write_ids):
        raise click.UsageError("--out, --groups and --write-ids name different files")
    asked_for = _ids_of(ids_file, encoding)
    found = read_csv(str(file), _text_of(file, encoding), group, asked_for)
    text = as_table(str(file), out.stem, found) if form == "table" else documents_text(found.rows)
    given = {made: name for name, made in found.ids.groups.items()}
    paths = sorted({row.group for row in found.rows})
    new = {out: text}
    if groups:
        new[groups] = "---\n".join(group_text(path, _other(given, path)) for path in paths)
    _write(new, found.ids, write_ids)
    _say(found.ids, found.notes)
    click.echo(f"written: {out}, {len(found.rows)} machine(s)")
    if groups:
        click.echo(f"written: {groups}, {len(paths)} group(s)")
    else:
        click.echo(f"groups that the repository must have: {', '.join(paths)}")


def _other(given: dict[str, str], path: str) -> str:
    """Return the name that a group had elsewhere; empty where it has the same here."""
    name = given.get(path, "")
    return "" if name == path else name


@import_.command("dpm")
@click.option(
    "--names",
    type=click.Path(path_type=Path),
    metavar="GroupAsName.ini",
    help="Lines of group;machine name[;gateway;subnet mask].",
)
@click.option(
    "--addresses",
    type=click.Path(path_type=Path),
    metavar="GroupAsIp.ini",
    help="Lines of group;address[;mask[;gateway;subnet mask]].",
)
@click.option(
    "--machines",
    type=click.Path(path_type=Path),
    metavar="machines.csv",
    help="A list of machines, as `rackwright import csv` reads it.",
)
@click.option(
    "--network",
    default="",
    metavar="NAME",
    help="The Network of groups in the same subnet as the DeploymentManager server.",
)
@click.option(
    "--out",
    required=True,
    type=FOLDER,
    metavar="DIR",
    help="Folder for the new files; none of them may exist.",
)
@_reading_options
def import_dpm(  # noqa: PLR0913 - one parameter for each option
    *,
    names: Path | None,
    addresses: Path | None,
    machines: Path | None,
    network: str,
    out: Path,
    encoding: str | None,
    ids_file: Path | None,
    write_ids: Path | None,
) -> None:
    """Turn the registration files of NEC DeploymentManager into documents.

    Machine names and addresses become EnrollmentRules (a name wins over an address,
    as in DeploymentManager; of addresses, the line that comes first), groups become
    Groups, gateways with their masks Networks, machines Machines. UTF-8, UTF-16 and
    Shift_JIS are recognised; where two fit, --encoding says which is meant.

    A name that is no id gets one and stays as displayName, as `rackwright import csv
    --help` says. All errors are listed at once, and nothing is written then.

    \b
    Examples:
      rackwright import dpm --names GroupAsName.ini --out fleet/dpm
      rackwright import dpm --names GroupAsName.ini --addresses GroupAsIp.ini \\
          --machines machines.csv --network rack --out fleet/dpm
    """  # noqa: D301 - \b keeps click from reflowing the list
    if not (names or addresses or machines):
        raise click.UsageError("name at least one of --names, --addresses and --machines")
    asked_for = _ids_of(ids_file, encoding)
    met = ImportedNames()
    by_name, errors = read_names(str(names), _text_of(names, encoding), met)
    by_address, more = read_addresses(str(addresses), _text_of(addresses, encoding), met)
    errors += more
    rows: Iterable[MachineRow] = ()
    listed = MachineList(str(machines), _text_of(machines, encoding), met) if machines else None
    ids = met.ids(asked_for)
    notes: list[str] = []
    if listed:
        rows, more = listed.rows(ids)
        errors += more
        notes += listed.notes()
    made = dpm_documents(by_name, by_address, tuple(rows), network, ids)
    errors += made.errors
    if errors:
        raise refused("the files have", errors)
    _write({out / path: text for path, text in made.files.items()}, ids, write_ids)
    unused = met.unused(asked_for) if asked_for else ()
    _say(ids, [*notes, *made.notes, *unused])
    for path, text in made.files.items():
        click.echo(f"written: {out / path}, {text.count('apiVersion:')} document(s)")


def _ids_of(path: Path | None, encoding: str | None) -> IdsFile | None:
    return read_ids(str(path), _text_of(path, encoding)) if path else None


def _text_of(path: Path | None, encoding: str | None) -> str:
    return foreign_text(str(path), read_file(path), encoding or "") if path else ""


def _write(files: dict[Path, str], ids: Ids, write_ids: Path | None) -> None:
    """Create all files, or none where one exists."""
    if write_ids:
        files = {**files, write_ids: ids_text(dict(ids.converted()))}
    by_folder: dict[Path, dict[str, bytes]] = {}
    for path, text in files.items():
        by_folder.setdefault(path.parent, {})[path.name] = text.encode()
    for folder, contents in by_folder.items():
        refuse_existing(folder, contents)
    for folder, contents in by_folder.items():
        create_files(folder, contents)


def _say(ids: Ids, notes: Iterable[str]) -> None:
    for line in ids.lines:
        click.echo(f"converted: {line}")
    for note in notes:
        click.echo(f"note: {note}")
