"""``rackwright validate``: every problem of a repository at once."""

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import format_option, ref_option, repo_option, state_option
from reconciler.errors import ReconcilerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from specs.diagnostics.diagnostic import Diagnostic
    from specs.fleet import CompiledFleet, CompiledMachine


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@repo_option
@ref_option
@state_option
@format_option
def validate(
    paths: tuple[Path, ...], repo: str, ref: str | None, state: Path, output_format: str
) -> int:
    """Check a repository and report every problem at once.

    With FILEs, check those as they are on the disk, in the place of what the commit has
    there: quick in a large repository, for an editor or before a commit.

    Exit code 0 when there is no error (warnings are shown), else 1.
    """
    if paths:
        return _validate_files(paths, Path(repo), ref, state, output_format)
    from reconciler.compiled.cache import FleetCache  # noqa: PLC0415 - not needed for --help
    from reconciler.compiled.file_check import check_source  # noqa: PLC0415
    from reconciler.compiled.source import files_of_tree  # noqa: PLC0415
    from reconciler.git.command import without_login  # noqa: PLC0415
    from reconciler.git.location import (  # noqa: PLC0415
        no_machine_note,
        open_source,
        subfolder_notice,
    )
    from reconciler.views.busy import busy  # noqa: PLC0415
    from reconciler.views.diagnostic_list import count  # noqa: PLC0415
    from specs.diagnostics.codes import Code  # noqa: PLC0415

    source = open_source(repo, ref, cache=state / "sources")
    if not source.files:
        raise ReconcilerError(
            "RW911",
            f"{without_login(repo)} has no YAML file to check ({source.describe})",
            "Name the folder of the fleet; what begins with a dot is not read",
        )
    with busy(f"checking {len(source.files):,} files"):
        found = check_source(files_of_tree(source), FleetCache.of_state(state), _further)
    diagnostics = found.diagnostics
    _print(diagnostics, source.revision, output_format)
    if output_format == "json":
        return 0 if found.valid else 1
    where = f"{len(source.files):,} file(s), {source.describe}"
    if not found.valid:
        click.echo(f"\n{count(diagnostics)} in {where}")
        is_lacking = any(each.code == Code.UNKNOWN_REFERENCE for each in diagnostics)
        if is_lacking and (notice := subfolder_notice(repo)):
            click.echo(notice)
        return 1
    verdict = f"valid, with {count(diagnostics)}" if diagnostics else "valid"
    click.echo(
        f"{verdict}: {found.machines:,} machine(s), {found.scenarios:,} scenario(s) in {where}"
    )
    if not found.machines and (note := no_machine_note(repo)):
        click.echo(note)
    return 0


def _validate_files(
    paths: tuple[Path, ...], repo: Path, ref: str | None, state: Path, output_format: str
) -> int:
    from reconciler.compiled.cache import FleetCache  # noqa: PLC0415
    from reconciler.compiled.file_check import check_files, read_named  # noqa: PLC0415
    from reconciler.compiled.source import files_of_revision, files_of_tree  # noqa: PLC0415
    from reconciler.git.repository import is_in_git  # noqa: PLC0415

    files = read_named(repo, paths)
    if ref is None and not is_in_git(repo):
        from reconciler.git.worktree import read_worktree  # noqa: PLC0415

        tree = read_worktree(repo)
        source, place, name = files_of_tree(tree), tree.describe, tree.revision
    else:
        from reconciler.git.revision import find_revision  # noqa: PLC0415

        revision = find_revision(repo, ref or "HEAD")
        source, place, name = files_of_revision(revision), revision.describe, revision.commit.id
    found = check_files(source, files, FleetCache.of_state(state), _further)
    broken = found.elsewhere or any(each.severity == "error" for each in found.diagnostics)
    _print(found.diagnostics, name, output_format)
    if output_format == "json":
        return 1 if broken else 0
    if found.elsewhere:
        click.echo(
            f"{found.elsewhere:,} error(s) in other files: see `rackwright validate` of the whole"
        )
    verdict = "not valid" if broken else "valid"
    click.echo(f"{verdict}: {len(paths):,} file(s) on {place}")
    return 1 if broken else 0


def _further(
    fleet: "CompiledFleet", machines: "Iterable[CompiledMachine]"
) -> "tuple[Diagnostic, ...]":
    """Return the warnings that depend on the time."""
    if not fleet.schedules or not fleet.windows:
        return ()
    from reconciler.app.project import utc_now  # noqa: PLC0415 - most fleets need neither
    from reconciler.planning.schedule_warnings import schedule_warnings  # noqa: PLC0415 - likewise

    return schedule_warnings(fleet, machines, {}, utc_now())


def _print(diagnostics: "Sequence[Diagnostic]", revision: str, output_format: str) -> None:
    from reconciler.views.diagnostic_list import (  # noqa: PLC0415 - Rich is slow to load
        print_problems,
        problems_document,
    )

    if output_format == "json":
        click.echo(dumps(problems_document(diagnostics, revision), indent=2))
    elif diagnostics:
        from reconciler.views.console import console  # noqa: PLC0415

        print_problems(console(), diagnostics)
