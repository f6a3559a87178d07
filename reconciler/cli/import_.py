"""``rackwright import``: files of other systems become documents."""

from pathlib import Path

import click

from reconciler.authoring.conversions import Conversions
from reconciler.authoring.dpm import read_addresses, read_names
from reconciler.authoring.dpm_documents import dpm_documents
from reconciler.authoring.foreign_text import foreign_text
from reconciler.authoring.machine_csv import as_table, read_csv, read_rows, refused
from reconciler.authoring.machine_row import documents_text
from reconciler.cli.edited_file import create_files, read_file
from reconciler.cli.options import FOLDER


@click.group("import")
def import_() -> None:
    """Turn files of other systems into documents. Nothing is written on any error."""


@import_.command("csv")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE.yaml",
    help="The file to write; it must not exist.",
)
@click.option("--group", default="", metavar="GROUP", help="For rows without a group.")
@click.option(
    "--as",
    "form",
    type=click.Choice(["machines", "table"]),
    default="machines",
    show_default=True,
    help="One Machine document for each row, or one MachineTable for all.",
)
def import_csv(file: Path, out: Path, group: str, form: str) -> None:
    """Turn a list of machines into documents.

    The first line names the columns: name and macs and, as needed, the other fields
    of the rows of a MachineTable (addresses with prefix length, or a column Subnet
    Mask), assign (scenario=run) and label.KEY.
    Headings such as "Machine Name", "MAC Address", "IP Address" and "Machine Group"
    are understood. UTF-8, UTF-16 and Shift_JIS, commas, semicolons and tabs are.

    A name that is not allowed is converted: small letters, one "-" for every run of
    other characters; a converted machine keeps the old name as its host name where
    that can be one. Each conversion is listed, and two names that become one are an
    error. All errors are listed at once, with their lines.

    \b
    Examples:
      rackwright import csv machines.csv --out machines.yaml --group tokyo/row2
      rackwright import csv machines.csv --out machines.yaml --as table
    """  # noqa: D301 - \b keeps click from reflowing the list
    found = read_csv(str(file), foreign_text(str(file), read_file(file)), group)
    text = as_table(str(file), out.stem, found) if form == "table" else documents_text(found.rows)
    create_files(out.parent, {out.name: text.encode()})
    for line in found.conversions:
        click.echo(f"converted: {line}")
    click.echo(f"written: {out}, {len(found.rows)} machine(s)")
    groups = sorted({row.group for row in found.rows})
    click.echo(f"groups that the repository must have: {', '.join(groups)}")


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
def import_dpm(
    names: Path | None, addresses: Path | None, machines: Path | None, network: str, out: Path
) -> None:
    """Turn the registration files of NEC DeploymentManager into documents.

    Machine names and addresses become EnrollmentRules (a name wins over an address,
    as in DeploymentManager; of addresses, the line that comes first), groups become
    Groups, gateways with their masks Networks, machines Machines. UTF-8, UTF-16 and
    Shift_JIS are read.

    A name that is not allowed is converted: small letters, one "-" for every run of
    other characters. Each conversion is listed; two names that become one are an
    error. All errors are listed at once, and nothing is written then.

    \b
    Examples:
      rackwright import dpm --names GroupAsName.ini --out fleet/dpm
      rackwright import dpm --names GroupAsName.ini --addresses GroupAsIp.ini \\
          --machines machines.csv --network rack --out fleet/dpm
    """  # noqa: D301 - \b keeps click from reflowing the list
    if not (names or addresses or machines):
        raise click.UsageError("name at least one of --names, --addresses and --machines")
    conversions = Conversions()
    by_name, errors = read_names(str(names), _text_of(names), conversions)
    by_address, more = read_addresses(str(addresses), _text_of(addresses), conversions)
    errors += more
    rows, more = read_rows(str(machines), _text_of(machines), conversions) if machines else ((), [])
    made = dpm_documents(by_name, by_address, rows, network)
    errors += [*more, *made.errors]
    if errors:
        raise refused("the files have", errors)
    create_files(out, {path: text.encode() for path, text in made.files.items()})
    for line in conversions.lines:
        click.echo(f"converted: {line}")
    for note in made.notes:
        click.echo(f"note: {note}")
    for path, text in made.files.items():
        click.echo(f"written: {out / path}, {text.count('apiVersion:')} document(s)")


def _text_of(path: Path | None) -> str:
    return foreign_text(str(path), read_file(path)) if path else ""
