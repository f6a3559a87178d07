"""``rackwright validate``: every problem of a repository at once."""

from json import dumps
from pathlib import Path

import click

from reconciler.cli.options import format_option, ref_option, repo_option, state_option


@click.command()
@repo_option
@ref_option
@state_option
@format_option
def validate(repo: str, ref: str | None, state: Path, output_format: str) -> int:
    """Check a repository and report every problem at once.

    Exit code 0 when there is no error (warnings are shown), else 1.
    """
    from reconciler.errors import ReconcilerError  # noqa: PLC0415
    from reconciler.rendering.console import console  # noqa: PLC0415 - not needed for --help
    from reconciler.rendering.problem_list import (  # noqa: PLC0415
        count,
        print_problems,
        problems_document,
    )
    from reconciler.source.location import open_source  # noqa: PLC0415
    from specs.compile import compile_fleet  # noqa: PLC0415

    source = open_source(repo, ref, cache=state / "sources")
    if not source.files:
        raise ReconcilerError(
            "RW911",
            f"{repo} has no YAML file to check ({source.describe})",
            "Name the folder of the fleet; what begins with a dot is not read",
        )
    result = compile_fleet(source.files, source.revision)
    fleet, problems = result.fleet, result.problems
    if output_format == "json":
        click.echo(dumps(problems_document(problems, source.revision), indent=2))
        return 1 if fleet is None else 0
    print_problems(console(), problems)
    where = f"{len(source.files)} file(s), {source.describe}"
    if fleet is None:
        click.echo(f"\n{count(problems)} in {where}")
        return 1
    verdict = f"valid, with {count(problems)}" if problems else "valid"
    click.echo(
        f"{verdict}: {len(fleet.machines)} machine(s), {len(fleet.scenarios)} scenario(s) in "
        f"{where}"
    )
    return 0
