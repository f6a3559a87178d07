"""``rackwright import``: files of other systems become documents."""

from pathlib import Path

import click


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

    The first line names the columns: name and macs, and as needed uuid, serial,
    hostname, domain, addresses (with prefix length, or a column Subnet Mask), group,
    network, power, protect, assign (scenario=run) and label.KEY. Headings such as
    "Machine Name", "MAC Address", "IP Address" and "Machine Group" are understood.
    UTF-8 and Shift_JIS, commas, semicolons and tabs are.

    A name that is not allowed is converted: small letters, one "-" for every run of
    other characters; a converted machine keeps the old name as its host name where
    that can be one. Each conversion is listed, and two names that become one are an
    error. All errors are listed at once, with their lines.

    \b
    Examples:
      rackwright import csv machines.csv --out machines.yaml --group tokyo/row2
      rackwright import csv machines.csv --out machines.yaml --as table
    """  # noqa: D301 - \b keeps click from reflowing the list
    from reconciler.authoring.foreign_text import foreign_text  # noqa: PLC0415 - not for --help
    from reconciler.authoring.machine_csv import as_documents, as_table, read_csv  # noqa: PLC0415
    from reconciler.cli.edited_file import create_file, read_file  # noqa: PLC0415

    found = read_csv(str(file), foreign_text(str(file), read_file(file)), group)
    text = as_table(str(file), out.stem, found) if form == "table" else as_documents(found)
    create_file(out, text.encode())
    for line in found.conversions:
        click.echo(f"converted: {line}")
    click.echo(f"written: {out}, {len(found.rows)} machine(s)")
    groups = sorted({row.group for row in found.rows})
    click.echo(f"groups that the repository must have: {', '.join(groups)}")
