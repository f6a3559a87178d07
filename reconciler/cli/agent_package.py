"""``rackwright agent package``: the agent as a package with its own Python."""

from pathlib import Path

import click
from rich.filesize import decimal

from reconciler.cli.options import DEFAULT_STATE, folder_option, state_option
from reconciler.views.console import console
from reconciler.views.progress import build_progress

HTTPS_PORT = 8443
_JOIN = "It is for no server: rackwright-agent join --server URL --pin HEX --token-file FILE"
_INSTALL = "It is for no server: msiexec /i FILE SERVER=URL PIN=HEX TOKENFILE=FILE"
_NO_SERVER = {"deb": _JOIN, "rpm": _JOIN, "tar": _JOIN, "msi": _INSTALL}


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["deb", "rpm", "tar", "msi"]),
    required=True,
    help="deb for Debian and Ubuntu, rpm for RHEL, SUSE and their like, tar for what has neither, "
    "msi for Windows.",
)
@click.option("--server", metavar="URL", default="", help="Server to join: https://HOST:PORT.")
@click.option("--pin", metavar="HEX", default="", help="SHA-256 fingerprint of its certificate.")
@click.option("--no-server", is_flag=True, help="Make a package that is for no server.")
@click.option(
    "--https-port", default=HTTPS_PORT, show_default=True, help="Of the server beside --state."
)
@click.option(
    "--revision",
    default=1,
    show_default=True,
    help="Which build of this version it is; package managers replace a smaller one.",
)
@folder_option("--out", default=Path(), text="Where the package goes.")
@folder_option(
    "--cache",
    default=DEFAULT_STATE / "cache" / "agent-package",
    text="Keeps Debian's packages and the runtime between builds.",
)
@state_option
def package(  # noqa: PLR0913 - one parameter for each option
    *,
    form: str,
    server: str,
    pin: str,
    https_port: int,
    revision: int,
    out: Path,
    cache: Path,
    state: Path,
    no_server: bool,
) -> int:
    """Build a package of the agent that carries its own Python. Needs no root.

    Machines need nothing but a Linux kernel from 3.2, or Windows, on x86-64. The package knows the
    server that was named, else the one whose state directory is here; the token, which lets a
    machine join, is given to the machine apart.
    """
    import agent  # noqa: PLC0415 - not needed for --help
    from agent.joining import checked_server  # noqa: PLC0415 - likewise
    from providers.agent_package.build import PackageOrder, build  # noqa: PLC0415 - likewise
    from reconciler.trust.agent_endpoint import endpoint_beside  # noqa: PLC0415 - likewise

    if server or pin:
        server, pin = checked_server(server, pin)
    elif not no_server and (endpoint := endpoint_beside(state, https_port)):
        server, pin = endpoint
    order = PackageOrder(form, revision, server, pin)
    screen = console()
    with build_progress(screen, "Agent") as progress:
        path = build(order, out, cache, Path(agent.__file__).parent, progress)
    screen.print(f"{path}, {decimal(path.stat().st_size)}", soft_wrap=True)
    click.echo(f"Its agents join {server}\nwhose pin is {pin}" if server else _NO_SERVER[form])
    return 0
