"""``rackwright init``: a fleet to start from."""

import subprocess
from pathlib import Path
from shlex import quote

import click

from reconciler.authoring.conversions import converted
from reconciler.authoring.rewrite import AuthoringError
from reconciler.authoring.starter_fleet import starter_fleet
from reconciler.cli.edited_file import create_files
from reconciler.git.repository import git_folder


@click.command()
@click.argument(
    "directory", default=".", type=click.Path(path_type=Path), metavar="[DIR]", required=False
)
@click.option("--git", is_flag=True, help="Also make the folder a Git repository (git init).")
def init(directory: Path, *, git: bool) -> None:
    """Write a small fleet to start from: commented, valid, in several files.

    DIR is created when it is not there; without it, the present folder is used. The
    files name a JSON Schema that is written beside them, so that editors complete
    and check fields. Nothing that exists is overwritten.

    \b
    Examples:
      rackwright init fleet
      rackwright init --git fleet
    """  # noqa: D301 - \b keeps click from reflowing the list
    files = starter_fleet(converted(directory.absolute().name) or "fleet")
    create_files(directory, {path: text.encode() for path, text in files.items()})
    if git:
        _git_init(directory)
    for path in files:
        click.echo(f"written: {directory / path}")
    click.echo(_next_steps(directory))


def _git_init(directory: Path) -> None:
    command = ["git", "init", "--quiet", "--initial-branch=main", "--", str(directory)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = done.stderr.strip() if done.returncode else ""
    except OSError as error:
        said = str(error.strerror)
    if said:
        raise AuthoringError(
            "RW933",
            f"the files are written, but git init failed: {said}",
            "Run git init there yourself",
        )


def _next_steps(directory: Path) -> str:
    """Return what to do next; the commits of a repository around the folder are left alone."""
    top = git_folder(directory)
    is_inside_another = top not in {None, directory.resolve()}
    steps = [] if directory == Path() else [f"cd {quote(str(directory))}"]
    steps += ["rackwright validate", "edit networks.yaml and machines.yaml: they are examples"]
    if top is None:
        steps.append("git init")
    elif is_inside_another:
        steps.append(f"git init, unless the fleet is to be a part of {top}")
    steps += ["git add . && git commit -m 'A first fleet'", "rackwright plan"]
    lines = ["", "Next:", *(f"  {number}. {step}" for number, step in enumerate(steps, 1))]
    if is_inside_another:
        lines[:0] = [
            "",
            f"This folder is inside another Git repository, {top}.",
            "`rackwright init --git DIR` makes a fleet a repository of its own.",
        ]
    return "\n".join(lines)
