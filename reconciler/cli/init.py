"""``rackwright init``: a fleet to start from."""

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from shlex import quote

import click

from reconciler.app.project import InvalidRepositoryError
from reconciler.authoring.conversions import converted
from reconciler.authoring.rewrite import AuthoringError
from reconciler.authoring.shipped_scenarios import ShippedScenario, names, new_files, shipped
from reconciler.authoring.starter_fleet import SCHEMA_FILE, starter_fleet
from reconciler.cli.edited_file import create_files, files_below
from reconciler.git.repository import git_folder
from reconciler.git.worktree import read_worktree
from specs.compile.fleet import compile_fleet


@click.command()
@click.argument(
    "directory", default=".", type=click.Path(path_type=Path), metavar="[DIR]", required=False
)
@click.option("--git", is_flag=True, help="Also make the folder a Git repository (git init).")
@click.option(
    "--with",
    "wanted",
    is_flag=False,
    flag_value="",
    metavar="[NAME,...]",
    help=f"Also write scenarios that come with Rackwright: {', '.join(names())}. Without a name: "
    "say what they do, and write nothing.",
)
def init(directory: Path, wanted: str | None, *, git: bool) -> None:
    """Write a small fleet to start from: commented, valid, in several files.

    DIR is created when it is not there; without it, the present folder is used. The
    files name a JSON Schema that is written beside them, so that editors complete
    and check fields. Nothing that exists is overwritten. Where DIR has documents
    already, --with adds the scenarios to them and nothing else.

    \b
    Examples:
      rackwright init fleet
      rackwright init --git fleet
      rackwright init --with
      rackwright init --with inspect,backup fleet
    """  # noqa: D301 - \b keeps click from reflowing the list
    if wanted == "":
        _list()
        return
    scenarios = [shipped(name.strip()) for name in wanted.split(",")] if wanted else []
    if scenarios and directory.is_dir() and any(files_below((directory,))):
        _add(directory, scenarios)
        if git:
            _git_init(directory)
        return
    files = starter_fleet(converted(directory.absolute().name) or "fleet")
    present = {path: text.encode() for path, text in files.items()}
    files = {**files, **new_files(scenarios, present, has_schema=True)}
    create_files(directory, {path: text.encode() for path, text in files.items()})
    if git:
        _git_init(directory)
    _say_written(directory, files)
    click.echo(_next_steps(directory))


def _list() -> None:
    width = max(map(len, names()))
    for name in names():
        click.echo(f"{name.ljust(width)}  {shipped(name).purpose}")
    click.echo(f"\n`rackwright init --with {','.join(names()[:2])}` writes such files.")


def _add(directory: Path, scenarios: Sequence[ShippedScenario]) -> None:
    """Write files to a repository, which is checked with them before."""
    tree = read_worktree(directory)
    has_schema = (directory / SCHEMA_FILE).is_file()
    files = {
        path: text.encode()
        for path, text in new_files(scenarios, tree.files, has_schema=has_schema).items()
    }
    result = compile_fleet({**tree.files, **files}, tree.revision)
    if result.fleet is None:
        listing = "\n".join(map(str, result.diagnostics))
        raise InvalidRepositoryError("the repository would have errors with these", listing)
    create_files(directory, files)
    _say_written(directory, files)
    click.echo("Assign them to machines or groups, review the change and commit it.")


def _say_written(directory: Path, files: Iterable[str]) -> None:
    for path in files:
        click.echo(f"written: {directory / path}")


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
