"""``rackwright image mount``: an image as files."""

import os
from pathlib import Path
from shlex import quote

import click

from agent.imaging.manifest import Manifest
from providers.imaging.image_layout import DISK_FILE, image_parts
from providers.imaging.image_mount import mount_file_systems, mounted_image
from providers.imaging.image_reader import stored_manifest
from providers.imaging.reference import find_image
from reconciler.app.image_contents import require_root
from reconciler.app.project import Project
from reconciler.cli.options import NamedPath, state_option
from reconciler.views.untrusted import for_terminal


@click.command()
@click.argument("reference", metavar="IMAGE")
@click.argument("place", metavar="DIR", type=NamedPath(path_type=Path))
@click.option(
    "--files/--no-files",
    default=None,
    help="Mount the file systems, too.  [default: when root runs this]",
)
@state_option
def mount(reference: str, place: Path, state: Path, *, files: bool | None) -> None:
    """Show an image as read-only files below DIR, an empty directory, until Ctrl-C.

    DIR gets disk.raw, partition-1.raw and so on,
    and for root DIR/1 with the files of partition 1. It is unmounted when this ends, however it
    ends, and ends when somebody else unmounts it.

    \b
    Examples:
      rackwright image mount golden-2026-11 /mnt
      rackwright image mount 3f2a9c01 ~/old --no-files
    """  # noqa: D301 - \b keeps click from reflowing the list
    if files:
        require_root("--files")
    place = place.absolute()
    project = Project("", None, state.absolute())
    store = project.store
    digest = find_image(store, reference).digest
    image = stored_manifest(store, digest)
    with_files = os.geteuid() == 0 if files is None else files
    try:
        with mounted_image(store.root, digest, place, folders=with_files) as mount:
            outcome = mount_file_systems(place, image_parts(image)) if with_files else {}
            _describe(image, digest, place, outcome)
            mount.wait()
    except KeyboardInterrupt:
        click.echo(for_terminal(f"unmounted: {place}"), err=True)


def _describe(image: Manifest, digest: str, place: Path, outcome: dict[str, str]) -> None:
    click.echo(for_terminal(f"image {digest[:12]} is mounted at {place}"))
    click.echo(f"  {DISK_FILE}")
    for part in image_parts(image):
        held = ", ".join(each for each in (part.filesystem, part.label) if each) or "no file system"
        click.echo(f"  {part.file}  {for_terminal(held)}")
        if part.name in outcome:
            problem = outcome[part.name]
            click.echo(
                f"  {part.name}/  {for_terminal(f'not mounted: {problem}' if problem else 'files')}"
            )
    shown = quote(str(place))
    ended = f"umount --lazy {shown}" if outcome else f"fusermount3 -u {shown}"
    click.echo(for_terminal(f"Ctrl-C unmounts it; so does: {ended}"))
