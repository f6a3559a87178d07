"""Options that several commands share."""

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TypeVar

import click
from click.core import ParameterSource

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., object])

DEFAULT_STATE = Path("/var/lib/rackwright")
DEFAULT_BOOT_FILES = DEFAULT_STATE / "deploy-os"


class NamedPath(click.Path):
    """A path that is not empty: an empty one, of a variable that is not set, would mean here."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        """Return the path; BadParameter."""
        if not os.fspath(value):
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


FILE = NamedPath(dir_okay=False, path_type=Path)
FOLDER = NamedPath(file_okay=False, path_type=Path)


def _said(context: click.Context, parameter: click.Parameter, value: T) -> T:
    """Return what the command line says of an option: here, else before the subcommand's name.

    Both places are natural.
    """
    name = str(parameter.name)
    outer = context.parent.params if context.parent else {}
    is_here = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    return value if is_here or name not in outer else outer[name]


def folder_option(
    *names: str, default: Path, text: str, envvar: str | None = None
) -> Callable[[Command], Command]:
    """Return an option for a folder; ``text`` is its help."""
    return click.option(
        *names,
        envvar=envvar,
        show_envvar=envvar is not None,
        default=default,
        show_default=True,
        type=FOLDER,
        metavar="DIR",
        help=text,
        callback=_said,
    )


repo_option = click.option(
    "--repo",
    envvar="RACKWRIGHT_REPO",
    show_envvar=True,
    default=".",
    show_default=True,
    metavar="DIR|URL",
    callback=_said,
    help="Repository with the desired state. A directory outside Git is read as it is.",
)
ref_option = click.option(
    "--ref",
    envvar="RACKWRIGHT_REF",
    show_envvar=True,
    default=None,
    metavar="REF",
    callback=_said,
    help="Branch, tag or commit.  [default: HEAD, that is what is committed; only `validate` reads "
    "the working tree; outside Git the files are read as they are]",
)
state_option = folder_option(
    "--state",
    envvar="RACKWRIGHT_STATE",
    default=DEFAULT_STATE,
    text="Directory with the embedded state: database, images, keys.",
)
format_option = click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    callback=_said,
    default="text",
    show_default=True,
    help="Text for people, JSON for programs.",
)
boot_files_option = folder_option(
    "--boot-files",
    envvar="RACKWRIGHT_BOOT_FILES",
    default=DEFAULT_BOOT_FILES,
    text="What `rackwright deploy-os build` made.",
)
secrets_option = click.option(
    "--secrets",
    envvar="RACKWRIGHT_SECRETS",
    show_envvar=True,
    default=None,
    type=FOLDER,
    metavar="DIR",
    help="Folder with the values of `!secret` references, before STATE/secrets.",
)
select_option = click.option(
    "--select",
    default="",
    metavar="SELECTOR",
    help="Only machines that match: name=node-*, group=tokyo/**, label:role=compute; "
    "a comma means and.",
)


def project_options(command: Callable[..., T]) -> Callable[..., T]:
    """Give a command --repo, --ref and --state, and the ``project`` that they name."""

    @wraps(command)
    def with_project(*, repo: str, ref: str | None, state: Path, **others: object) -> T:
        from reconciler.app.project import Project  # noqa: PLC0415 - not needed for --help

        return command(project=Project(repo, ref, state), **others)

    return repo_option(ref_option(state_option(with_project)))
