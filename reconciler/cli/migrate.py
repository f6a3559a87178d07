"""``rackwright migrate``: documents in the words of the present apiVersion."""

from pathlib import Path

import click

from reconciler.authoring.migrated import migrated
from reconciler.cli.rewriting import rewrite_files
from specs.migration import migrate as to_present


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 when a file would change.")
@click.option("--diff", is_flag=True, help="Write nothing; print what would change.")
def migrate(paths: tuple[Path, ...], *, check: bool, diff: bool) -> int:
    """Bring documents to the apiVersion that this version reads.

    PATH is a file or a folder; without one, the present folder. Hidden folders and
    symbolic links are left out. Each change is listed with its place. Comments and
    quotes stay, and documents that are current keep every byte. A file that is
    broken, or that would lose a comment, is named and left as it is.

    \b
    Examples:
      rackwright migrate                 all files below the present folder
      rackwright migrate --diff          show what would change
      rackwright migrate --check         for CI: fail when something is old

    Exit codes: 0 done, 1 a file is left as it is, or would change with --check.
    """  # noqa: D301 - \b keeps click from reflowing the list

    def rewrite(file: str, data: bytes) -> bytes:
        content, changes = migrated(file, data, to_present)
        if not diff:
            for change in changes:
                click.echo(change)
        return content

    return rewrite_files(paths, rewrite, check=check, diff=diff, verb="migrated")
