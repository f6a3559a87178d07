"""``rackwright serve``: the control plane in the foreground."""

import asyncio
import signal
from pathlib import Path

import click

from reconciler.app.follow_approval_tags import follow_approval_tags
from reconciler.app.follow_git import GitFollower, log_held
from reconciler.app.project import Project, utc_now
from reconciler.cli.options import boot_files_option, project_options, secrets_option
from reconciler.cli.serving import configure_log, require_able_to_serve
from reconciler.loop.reconcile import SERVER
from reconciler.server.service import Service, ServiceSettings
from reconciler.state.database import BRIEF, open_database


@click.command()
@project_options
@boot_files_option
@secrets_option
@click.option("--http-port", default=8080, show_default=True, help="Boot files; plain HTTP.")
@click.option("--https-port", default=8443, show_default=True, help="Agents; mutual TLS.")
@click.option("--log-json", is_flag=True, help="Log one JSON object per line.")
def serve(  # noqa: PLR0913 - one argument per option
    project: Project,
    boot_files: Path,
    secrets: Path | None,
    http_port: int,
    https_port: int,
    *,
    log_json: bool,
) -> int:
    """Run the control plane: netboot, agents and the reconcile loop, until interrupted.

    New commits of REF (or, outside Git, changed files) are followed while they
    are acceptable. With one that is broken, not signed as the fleet requires, or that
    rewrites history, the reason is logged and the last accepted one stays. Safe work is
    started unattended where an agent in RAM waits for it, and so is what schedules say;
    whatever else overwrites a disk or may interrupt somebody waits for `rackwright apply`.
    """
    require_able_to_serve(boot_files)
    configure_log(json=log_json)
    settings = ServiceSettings(
        state=project.state,
        boot_files=boot_files,
        read_files=project.read_files,
        http_port=http_port,
        https_port=https_port,
        unattended=True,
        secrets=() if secrets is None else (secrets,),
    )
    asyncio.run(_serve(project, settings))
    return 0


async def _serve(project: Project, settings: ServiceSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    held = project.hold()
    if held is not None:
        log_held(held, project.fleet.revision)
    database = open_database(project.database_path, BRIEF)
    async with Service(settings, project.fleet, database, utc_now) as service:
        await asyncio.to_thread(project.accept, SERVER, utc_now())
        follower = GitFollower(project, service, utc_now)
        service.supervise("Git", lambda: follower.follow(stop))
        service.supervise("approval tags", lambda: follow_approval_tags(project, utc_now, stop))
        await stop.wait()
