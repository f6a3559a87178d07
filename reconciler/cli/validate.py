"""``rackwright validate``: every problem of a repository at once."""

from dataclasses import asdict
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
    from reconciler.source.location import open_source  # noqa: PLC0415 - not needed for --help
    from specs.compile import compile_fleet  # noqa: PLC0415

    source = open_source(repo, ref, cache=state / "sources")
    result = compile_fleet(source.files, source.revision)
    errors = sum(problem.severity == "error" for problem in result.problems)
    if output_format == "json":
        document = {
            "revision": source.revision,
            "problems": [asdict(problem) for problem in result.problems],
        }
        click.echo(dumps(document, indent=2))
        return 1 if errors else 0
    for problem in result.problems:
        click.echo(str(problem))
    if errors:
        click.echo(f"\n{errors} error(s) in {len(source.files)} file(s), {source.describe}")
        return 1
    fleet = result.fleet
    count = len(fleet.machines) if fleet else 0
    click.echo(
        f"valid: {count} machine(s), {len(fleet.scenarios) if fleet else 0} scenario(s) in "
        f"{len(source.files)} file(s), {source.describe}"
    )
    return 0
