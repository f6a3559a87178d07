"""``rackwright package``: repositories of packages, made, signed and mirrored."""

from collections.abc import Callable
from datetime import timedelta
from json import dumps
from pathlib import Path
from typing import TypeVar

import click

from agent.errors import one_line
from providers.package_source.bundle import read_bundle
from providers.package_source.repository import LIFETIMES, OFFLINE, ROLES, Repository
from reconciler.app import package_repository as app
from reconciler.app import package_sources
from reconciler.app.cancel import require_reason
from reconciler.app.project import Project, utc_now
from reconciler.cli.options import FOLDER, format_option, project_options, secrets_option
from reconciler.server.package_mirror import SourceMirror
from reconciler.trust.secrets import FOLDER as SECRETS
from reconciler.trust.secrets import Secrets
from reconciler.views.console import console
from reconciler.views.package_text import package_table, repository_tables, source_table
from specs.types.invalid_value import InvalidValue
from specs.types.quantities import Duration

Command = TypeVar("Command", bound=Callable[..., object])

_repository = click.argument("folder", metavar="REPO", type=FOLDER)
_key_option = click.option(
    "--key",
    "named",
    multiple=True,
    metavar="FILE|secret:NAME",
    help="A further private key, as PEM; can be given several times.",
)
_keys_option = click.option(
    "--keys",
    envvar="RACKWRIGHT_PACKAGE_KEYS",
    show_envvar=True,
    default=None,
    type=FOLDER,
    metavar="DIR",
    help="Folder with the private keys.  [default: REPO.keys, beside the repository]",
)


def _signing(command: Command) -> Command:
    """Give a command REPO, the keys that sign, and where secrets are."""
    return _repository(_keys_option(_key_option(secrets_option(command))))


@click.group()
def package() -> None:
    """Make, sign and mirror repositories of packages (The Update Framework).

    \b
    Examples:
      rackwright package init /srv/packages
      rackwright package build agent/ --output build
      rackwright package publish /srv/packages build/example-agent-4.2
      rackwright package yank /srv/packages example-agent 4.1 --reason 'it leaks handles'
      rackwright package refresh /srv/packages
      rackwright package mirror
      rackwright package ls --sources
    """  # noqa: D301 - \b keeps click from reflowing the list


@package.command()
@_repository
@_keys_option
@click.option(
    "--threshold", default=1, show_default=True, help="How many root keys must sign the root."
)
@click.option(
    "--root-key",
    "root_keys",
    multiple=True,
    metavar="ed25519:KEY",
    help="The public key of another person who signs the root; can be given several times.",
)
@click.option(
    "--expires",
    multiple=True,
    metavar="ROLE=DURATION",
    help=f"How long signatures of a role count, such as root=365d. Roles are {', '.join(ROLES)}.",
)
def init(
    folder: Path,
    keys: Path | None,
    threshold: int,
    root_keys: tuple[str, ...],
    expires: tuple[str, ...],
) -> int:
    """Make an empty repository in REPO, and its keys where there are none.

    Prints the signers that PackageSource documents name. Take root.pem (and targets.pem) off
    this host and keep them safe; timestamp.pem and snapshot.pem stay with `package refresh`.
    """
    made = app.create(
        folder,
        keys or app.default_keys(folder),
        threshold=threshold,
        root_keys=root_keys,
        lifetimes=dict(map(_lifetime, expires)),
        now=utc_now(),
    )
    click.echo(f"package repository {folder}; its keys are in {keys or app.default_keys(folder)}")
    click.echo("spec:\n  signers:")
    for signer in made.signers:
        click.echo(f"    - {signer}")
    return _report(made.repository)


@package.command()
@click.argument(
    "sources", nargs=-1, required=True, metavar="DIR|FILE...", type=click.Path(path_type=Path)
)
@click.option(
    "--output",
    default=Path("build"),
    show_default=True,
    type=FOLDER,
    metavar="DIR",
    help="Where the packages go, each in a folder NAME-VERSION.",
)
def build(sources: tuple[Path, ...], output: Path) -> int:
    """Make packages of Package documents and the files beside them.

    A file is taken from beside its document, by the last part of its address, else from the
    web; its checksum has to fit.
    """
    for bundle in app.build_all(sources, output):
        found = bundle.package
        click.echo(f"{bundle.folder}: {found.name} {found.version}, {len(found.files)} file(s)")
    return 0


@package.command()
@_signing
@click.argument("bundles", nargs=-1, required=True, metavar="PACKAGE...", type=FOLDER)
def publish(
    folder: Path,
    keys: Path | None,
    named: tuple[str, ...],
    secrets: Path | None,
    bundles: tuple[Path, ...],
) -> int:
    """Add packages that `package build` made to the list of REPO, and sign it.

    Where the key of the list is not here, it waits for `package sign`. A version that was
    published is never exchanged: a changed package needs a new one.
    """
    repository = _opened(folder, keys, named, secrets)
    repository.publish([read_bundle(each) for each in bundles])
    return _report(repository)


@package.command()
@_signing
def sign(folder: Path, keys: Path | None, named: tuple[str, ...], secrets: Path | None) -> int:
    """Add the signatures of your keys to what waits for some in REPO.

    What has enough of them is in force at once.
    """
    repository = _opened(folder, keys, named, secrets)
    repository.sign()
    return _report(repository)


@package.command("yank")
@_signing
@click.argument("name")
@click.argument("version")
@click.option("--reason", default="", metavar="TEXT", help="Why; mirrors show it.")
def yank_package(  # noqa: PLR0913, PLR0917 - one argument per option
    folder: Path,
    keys: Path | None,
    named: tuple[str, ...],
    secrets: Path | None,
    name: str,
    version: str,
    reason: str,
) -> int:
    """Have a version of a package offered no longer; it stays in the list, with the reason."""
    require_reason(reason)
    repository = _opened(folder, keys, named, secrets)
    repository.yank(name, version, reason)
    return _report(repository)


@package.command()
@_signing
@click.option("--root", is_flag=True, help="Renew the root metadata, too: it needs its keys.")
@click.option(
    "--rotate",
    multiple=True,
    type=click.Choice(ROLES),
    help="Give a role a new key; can be given several times. It needs the root's keys.",
)
def refresh(  # noqa: PLR0913 - one argument per option
    folder: Path,
    keys: Path | None,
    named: tuple[str, ...],
    secrets: Path | None,
    rotate: tuple[str, ...],
    *,
    root: bool,
) -> int:
    """Sign that the list of REPO is the newest, before that expires: run it every day.

    Mirrors refuse a list whose timestamp has expired. The list itself is renewed too, once half
    of its life is over, where its key is here.
    """
    repository = _opened(folder, keys, named, secrets)
    app.refresh(repository, keys or app.default_keys(folder), rotate, root=root)
    return _report(repository)


@package.command("ls")
@click.argument("folder", metavar="[REPO]", type=FOLDER, required=False)
@click.option("--sources", is_flag=True, help="List the package sources and their last results.")
@click.option("--all", "everything", is_flag=True, help="Also what is not offered, and why.")
@format_option
@project_options
def list_packages(
    project: Project, folder: Path | None, output_format: str, *, sources: bool, everything: bool
) -> int:
    """List the packages of the repository folder REPO, or without it those that were mirrored.

    Exit code 1 where with --sources the last mirror of one went wrong.
    """
    if folder is not None:
        _list_repository(Repository(folder, (), utc_now()), output_format)
        return 0
    if sources:
        return _list_sources(project, output_format)
    found = package_sources.known_packages(project, tombstones=everything)
    if output_format == "json":
        listed = [
            {
                **each._asdict(),
                "since": each.since.isoformat(),
                "files": [vars(file) for file in each.files],
            }
            for each in found
        ]
        click.echo(dumps({"packages": listed}, indent=2))
    elif found:
        console().print(package_table(found, utc_now()))
    else:
        click.echo("no packages yet: `rackwright package mirror` fetches those of the sources")
    return 0


@package.command()
@click.argument("names", nargs=-1, metavar="[NAME...]")
@secrets_option
@project_options
def mirror(project: Project, names: tuple[str, ...], secrets: Path | None) -> int:
    """Mirror package sources now: all, or those that are named.

    Exit code 1 where one of them went wrong; what arrived is kept, and gone on with the next
    time.
    """
    chosen = package_sources.chosen_sources(project, names)
    own = Secrets((*([secrets] if secrets else []), project.state / SECRETS))
    here = SourceMirror(project.state, project.database, own, utc_now)
    went_wrong = False
    for source, result in package_sources.mirror_by_hand(project, here, chosen, lambda: None):
        packages = result.packages or []
        offered = sum(not each.yanked and not each.problem for each in packages)
        click.echo(f"{source.name}: {offered:,} packages, {result.received:,} bytes received")
        if result.error is not None:
            went_wrong = True
            click.echo(f"  {one_line(result.error)}", err=True)
    return int(went_wrong)


def _opened(
    folder: Path, keys: Path | None, named: tuple[str, ...], secrets: Path | None
) -> Repository:
    own = Secrets([secrets] if secrets else [])
    return app.opened(folder, keys or app.default_keys(folder), named, own, utc_now())


def _report(repository: Repository) -> int:
    """Say what waits for signatures, and what expires soon that a person has to renew."""
    now = utc_now()
    for state in repository.states():
        if state.is_staged:
            click.echo(
                f"{state.role} waits for {state.missing} more signature(s): rackwright package "
                f"sign {repository.folder} --key FILE"
            )
        elif state.role in OFFLINE and state.expires - now < LIFETIMES[state.role] / 4:
            click.echo(f"{state.role} expires at {state.expires:%Y-%m-%d %H:%M} UTC", err=True)
    return 0


def _list_repository(repository: Repository, output_format: str) -> None:
    packages, states = repository.packages(), repository.states()
    if output_format == "json":
        roles = [{**vars(each), "expires": each.expires.isoformat()} for each in states]
        click.echo(dumps({"packages": list(map(vars, packages)), "roles": roles}, indent=2))
        return
    screen = console()
    for part in repository_tables(packages, states):
        screen.print(part)


def _list_sources(project: Project, output_format: str) -> int:
    now = utc_now()
    found = package_sources.known_sources(project, now)
    if output_format == "json":
        click.echo(dumps({"sources": list(map(package_sources.document, found))}, indent=2))
    elif found:
        console().print(source_table(found, now))
    else:
        click.echo("no package sources: write a PackageSource document")
    return int(any(each.state is not None and each.state.failure for each in found))


def _lifetime(text: str) -> tuple[str, timedelta]:
    role, _, duration = text.partition("=")
    if role not in ROLES:
        raise click.BadParameter(f"{role!r} is none of {', '.join(ROLES)}", param_hint="--expires")
    try:
        return role, timedelta(seconds=Duration.parse(duration).seconds)
    except InvalidValue as error:
        raise click.BadParameter(str(error), param_hint="--expires") from error
