"""``rackwright schema``: what editors check documents with."""

from json import dumps
from pathlib import Path

import click

from reconciler.cli.edited_file import write_output
from reconciler.cli.options import FILE
from specs.schema import json_schema


@click.command()
@click.option(
    "--out",
    type=FILE,
    metavar="FILE",
    help="Write the schema here instead, replacing what is there.",
)
def schema(out: Path | None) -> None:
    """Print the JSON Schema of documents, for editors.

    Editors with a YAML language server complete names, explain fields and underline
    mistakes by it, once a file names it in its first line. What documents mean
    together only `rackwright validate` can check.

    \b
    Examples:
      rackwright schema --out .rackwright/schema.json
      # yaml-language-server: $schema=.rackwright/schema.json   (first line of a file)
    """  # noqa: D301 - \b keeps click from reflowing the list
    text = dumps(json_schema(), indent=2) + "\n"
    if out is None:
        click.echo(text, nl=False)
        return
    write_output(out, text.encode())
    click.echo(f"written: {out}")
