"""``rackwright deploy-os``: the RAM system that machines boot over the network."""

from json import dumps
from pathlib import Path

import click
from rich.filesize import decimal

import agent
from providers.deploy_os.build import build as build_deploy_os
from reconciler.cli.options import DEFAULT_BOOT_FILES, DEFAULT_STATE, folder_option, format_option
from reconciler.views.console import console
from reconciler.views.progress import build_progress


@click.group()
def deploy_os() -> None:
    """Build the RAM system that machines boot over the network."""


@deploy_os.command()
@folder_option(
    "--boot-files",
    envvar="RACKWRIGHT_BOOT_FILES",
    default=DEFAULT_BOOT_FILES,
    text="Where the result goes; `serve`, `apply` and `run` read it there.",
)
@folder_option(
    "--cache",
    default=DEFAULT_STATE / "cache" / "deploy-os",
    text="Keeps the packages' layer between builds.",
)
@click.option("--refresh", is_flag=True, help="Take the packages that Debian has now.")
@format_option
def build(boot_files: Path, cache: Path, output_format: str, *, refresh: bool) -> int:
    """Build kernel, RAM disk and boot loaders from Debian packages. Needs root.

    What is already built and has not changed is kept.
    """
    source = Path(agent.__file__).parent
    screen = console(stderr=output_format == "json")
    with build_progress(screen, "Deploy-OS") as progress:
        built = build_deploy_os(boot_files, cache, progress, source, refresh=refresh)
    if output_format == "json":
        click.echo(dumps({"version": built.version, "sizes": built.sizes}, indent=2))
        return 0
    screen.print(
        f"Deploy-OS {built.version[:12]}: kernel {built.kernel} "
        f"{decimal(built.sizes['vmlinuz'])}, RAM disk {decimal(built.sizes['initrd.img'])}, "
        f"in {boot_files}"
    )
    return 0
