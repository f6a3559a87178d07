"""What commands have in common that rewrite many files: one report, nothing half done."""

from collections.abc import Callable
from difflib import unified_diff
from io import StringIO
from pathlib import Path

import click

from reconciler.authoring.rewrite import AuthoringError, UnreadableFileError
from reconciler.cli.edited_file import files_below, read_file, write_file
from reconciler.cli.refusal import refusal


def rewrite_files(
    paths: tuple[Path, ...],
    rewrite: Callable[[str, bytes], bytes],
    *,
    check: bool,
    diff: bool,
    verb: str,
) -> int:
    """Rewrite files; report each; return the exit code.

    ``rewrite`` gets the name and the content of a file and returns the new content,
    or raises AuthoringError for a file that shall stay as it is. ``verb`` is what
    happens to a file, as in "formatted". With ``check`` or ``diff`` nothing is written.
    """
    changed = refused = count = 0
    for path in files_below(paths or (Path(),)):
        count += 1
        try:
            old = read_file(path)
            new = rewrite(str(path), old)
            if new == old:
                continue
            changed += 1
            if diff:
                click.echo(text_diff(str(path), old, new), nl=False)
            if not diff and not check:
                write_file(path, new)
        except UnreadableFileError as error:
            refused += 1
            for problem in error.diagnostics:
                click.echo(str(problem))
            continue
        except AuthoringError as error:
            refused += 1
            click.echo(refusal(error), err=True)
            continue
        if not diff:
            click.echo(f"{'would be ' if check else ''}{verb}: {path}")
    word = f"would be {verb}" if check or diff else verb
    summary = f"{changed} of {count} file(s) {word}"
    click.echo(f"{summary}, {refused} left as they are" if refused else summary, err=True)
    return 1 if refused or (check and changed) else 0


def text_diff(name: str, old: bytes | None, new: bytes) -> str:
    """Return a unified diff that ``git apply`` takes; empty when nothing differs.

    ``name`` is the path in the repository, ``old`` None for a file that is not there.
    Lines are cut at LF only, so that bytes of other line ends are part of their lines.
    """
    before, after = (
        StringIO(data.decode("utf-8"), newline="\n").readlines() for data in (old or b"", new)
    )
    source = "/dev/null" if old is None else f"a/{name}"
    parts: list[str] = []
    for line in unified_diff(before, after, source, f"b/{name}"):
        parts.append(line)
        if not line.endswith("\n"):
            parts.append("\n\\ No newline at end of file\n")
    return "".join(parts)
