"""``rackwright agent release``: what agents of installed systems upgrade to."""

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.filesize import decimal

from reconciler.cli.options import format_option, state_option
from reconciler.views.untrusted import for_terminal

if TYPE_CHECKING:
    from providers.agent_package.release import AgentReleases


_SHOWN = 12
"""Digits of a SHA-256."""


def _releases(state: Path) -> "AgentReleases":
    from reconciler.server.package_mirror import releases_of  # noqa: PLC0415 - not for --help

    return releases_of(state)


@click.group()
def release() -> None:
    """Add, list and remove releases of the agent, to which scenarios upgrade machines.

    \b
    Examples:
      rackwright agent package --format tar
      rackwright agent release add rackwright-agent-0.3.0-1-linux-x86_64.tar.gz
      rackwright agent release ls
    """  # noqa: D301 - \b keeps click from reflowing the list


@release.command()
@click.argument("file", type=click.Path(path_type=Path))
@state_option
def add(file: Path, state: Path) -> int:
    """Take in FILE, which `rackwright agent package --format tar` made.

    A running `serve` has it at once. Agents verify that this server has signed it.
    """
    manifest = _releases(state).add(file)
    (archive,) = manifest.files
    click.echo(
        for_terminal(
            f"{manifest.version} {manifest.architecture}, {decimal(archive.size)}, "
            f"SHA-256 {archive.sha256}"
        )
    )
    return 0


@release.command()
@click.argument("version")
@state_option
def rm(version: str, state: Path) -> None:
    """Hand out a release no longer. Machines that have it keep it.

    VERSION is as `ls` shows it, such as 0.3.0-2.
    """
    _releases(state).remove(version)
    click.echo(for_terminal(f"{version} is handed out no longer"))


@release.command()
@format_option
@state_option
def ls(state: Path, output_format: str) -> int:
    """List releases, the newest first: version, size, when each was added, and its SHA-256.

    Text has the beginning of the SHA-256, JSON all of it.
    """
    releases = _releases(state)
    found = [(each, releases.added_at(each.version)) for each in releases.all()]
    if output_format == "json":
        documents = [
            {
                "version": each.version,
                "architecture": each.architecture,
                "added": added.isoformat(timespec="seconds"),
                "files": [
                    {"name": file.name, "size": file.size, "sha256": file.sha256}
                    for file in each.files
                ],
            }
            for each, added in found
        ]
        click.echo(dumps({"releases": documents}, indent=2))
        return 0
    if not found:
        click.echo("no release was added")
    for each, added in found:
        for file in each.files:
            click.echo(
                for_terminal(
                    f"{each.version:<12} {each.architecture}  {decimal(file.size):>9}  "
                    f"added {added:%Y-%m-%d %H:%M} UTC  {file.sha256[:_SHOWN]}"
                )
            )
    return 0
