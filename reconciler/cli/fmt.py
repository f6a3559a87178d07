"""``rackwright fmt``: one layout for all YAML, without a change of meaning."""

from pathlib import Path

import click

from reconciler.authoring.layout import laid_out
from reconciler.authoring.rewrite import rewritten
from reconciler.cli.rewriting import rewrite_files


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 when a file would change.")
@click.option("--diff", is_flag=True, help="Write nothing; print what would change.")
def fmt(paths: tuple[Path, ...], *, check: bool, diff: bool) -> int:
    """Lay out YAML files in one way: indentation, spaces, blank lines, line ends.

    PATH is a file or a folder; without one, the present folder. Hidden folders and
    symbolic links are left out. Comments, quotes and the order of keys stay. A file
    is read again before it is written: one that is broken, or that would say
    something else, is named and left as it is.

    \b
    Examples:
      rackwright fmt                     all files below the present folder
      rackwright fmt machines.yaml       one file
      rackwright fmt --check --diff      for CI: show what is wrong and fail

    Exit codes: 0 done, 1 a file is broken, or would change with --check.
    """  # noqa: D301 - \b keeps click from reflowing the list

    def rewrite(file: str, data: bytes) -> bytes:
        return rewritten(file, data, laid_out)

    return rewrite_files(paths, rewrite, check=check, diff=diff, verb="formatted")
