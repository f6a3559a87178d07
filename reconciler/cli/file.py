"""``rackwright file``: files of installed systems."""

from pathlib import Path

import click

from providers.content.store import ContentStore
from reconciler.app import inline_work
from reconciler.app.cancel import require_reason
from reconciler.app.project import Project
from reconciler.cli.by_hand import Order, by_hand_options, on_option
from reconciler.cli.hand_results import carried_out, default_output, require_free
from reconciler.cli.options import FILE
from reconciler.server.package_mirror import CONTENT

_MACHINE = "MACHINE"


@click.group()
def file() -> None:
    """List, get, put and remove files of installed systems.

    \b
    Examples:
      rackwright file ls node-07 /etc
      rackwright file get node-07 /var/log/syslog --reason 'RMA 4711' --output syslog
      rackwright file put --on 'label:role=web' --reason 'new motd' motd /etc/motd
      rackwright file rm --on node-07 --reason 'disk is full' /var/tmp/core.4711
    """  # noqa: D301 - \b keeps click from reflowing the list


@file.command()
@click.argument("machine", metavar=_MACHINE)
@click.argument("path")
@by_hand_options
def ls(  # noqa: PLR0913, PLR0917 - one argument per option
    project: Project,
    machine: str,
    path: str,
    reason: str,
    boot_files: Path,
    output_format: str,
    yes: int | None,
    *,
    no_wait: bool,
) -> int:
    """List what is in a folder of a machine: type, mode, owner, group, size, time, name.

    Changes nothing, and nobody is asked before. It is kept who looked; a reason is not needed.
    Of a folder with more than 10,000 names the first are shown. Times are UTC; bytes of names
    that cannot be shown are codes.
    """
    scenario, on = inline_work.listing(path), (machine,)
    inline_work.require_one(project.fleet, machine)
    why = reason or f"lists {path}"
    order = Order(
        project, scenario, on, why, boot_files, yes, "file ls", is_asked=False, no_wait=no_wait
    )
    return carried_out(order, output_format)


@file.command()
@click.argument("machine", metavar=_MACHINE)
@click.argument("path")
@click.option("--output", type=FILE, metavar="FILE", help="Where to write; - for standard output.")
@click.option("--force", is_flag=True, help="Replace FILE where it is there.")
@click.option("--follow", is_flag=True, help="Follow PATH where it is a symbolic link.")
@click.option(
    "--max-size",
    default="100MiB",
    show_default=True,
    metavar="SIZE",
    help="A longer file is refused.",
)
@by_hand_options
def get(  # noqa: PLR0913, PLR0917 - one argument per option
    project: Project,
    machine: str,
    path: str,
    output: Path | None,
    max_size: str,
    reason: str,
    boot_files: Path,
    output_format: str,
    yes: int | None,
    *,
    force: bool,
    follow: bool,
    no_wait: bool,
) -> int:
    """Get a file of a machine, for a reason that is kept.

    Changes nothing there. What is no regular file is refused. The server keeps the content for
    a day (`rackwright runs results`); here, FILE or the file's own name is written for its
    owner alone.
    """
    if not no_wait:
        require_free(output or default_output(path), force=force)
    scenario = inline_work.reading(path, follow=follow, most=inline_work.size_of(max_size))
    inline_work.require_one(project.fleet, machine)
    on = (machine,)
    order = Order(
        project, scenario, on, reason, boot_files, yes, "file get", is_asked=False, no_wait=no_wait
    )
    return carried_out(order, output_format, output, force=force)


@file.command()
@click.argument("local", type=FILE, metavar="LOCAL")
@click.argument("target")
@on_option
@click.option("--owner", default="", metavar="NAME", help="Who owns it.  [default: root]")
@click.option("--group", default="", metavar="NAME", help="Its group.  [default: the owner's]")
@click.option("--mode", default="0644", show_default=True, metavar="MODE", help="Its permissions.")
@by_hand_options
def put(  # noqa: PLR0913, PLR0917 - one argument per option
    project: Project,
    local: Path,
    target: str,
    on: tuple[str, ...],
    owner: str,
    group: str,
    mode: str,
    reason: str,
    boot_files: Path,
    output_format: str,
    yes: int | None,
    *,
    no_wait: bool,
) -> int:
    """Bring one file to machines, as a scenario's step `files` does.

    What it replaces is kept on the machine. The content is no secret: it lies in the server's
    content store.
    """
    require_reason(reason)
    project.require_ledger()
    terms = {"owner": owner, "group": group, "mode": mode}
    inline_work.placing(target, "", 0, terms)  # before anything is stored
    sha256, size = inline_work.stored(ContentStore(project.state / CONTENT), local)
    scenario = inline_work.placing(target, sha256, size, terms)
    order = Order(project, scenario, on, reason, boot_files, yes, "file put", no_wait=no_wait)
    return carried_out(order, output_format)


@file.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@on_option
@by_hand_options
def rm(  # noqa: PLR0913, PLR0917 - one argument per option
    project: Project,
    paths: tuple[str, ...],
    on: tuple[str, ...],
    reason: str,
    boot_files: Path,
    output_format: str,
    yes: int | None,
    *,
    no_wait: bool,
) -> int:
    """Remove files or folders of machines, as a scenario's step `files` does.

    What is removed is kept on the machine; what a system needs is not removed.
    """
    scenario = inline_work.removal(paths)
    order = Order(project, scenario, on, reason, boot_files, yes, "file rm", no_wait=no_wait)
    return carried_out(order, output_format)
