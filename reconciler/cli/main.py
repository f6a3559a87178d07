"""``rackwright``: the entry point."""

import gc
import os
import sys

from reconciler.cli.refusal import DEBUG, as_refusal, unexpected

_BRIEF = frozenset(
    {"--help", "--version", "-h", "explain", "fmt", "plan", "schema", "status", "validate"}
)
"""What ends before garbage matters: searching for it takes a tenth of them."""


def main() -> None:
    """Run the command line; every expected error ends as a code, a cause and an action."""
    # No other package has a say in what is valid, and looking for such takes 15 ms.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    is_brief = bool(_BRIEF.intersection(sys.argv[1:2]))
    if is_brief:
        gc.disable()
    status = _status()
    if is_brief:
        gc.freeze()  # the interpreter would search once more at its end
    sys.exit(status)


def _status() -> int:
    # Here, since its modules are loaded without a search for garbage too.
    import click  # noqa: PLC0415

    from reconciler.cli.commands import cli  # noqa: PLC0415

    try:
        status = cli.main(prog_name="rackwright", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return 1
    except Exception as error:
        refusal = as_refusal(error)
        if refusal is None:
            if os.environ.get(DEBUG):
                raise
            refusal = unexpected(error)
        click.echo(refusal, err=True)
        exit_code: int = getattr(error, "exit_code", 1)
        return exit_code
    return status if isinstance(status, int) else 0
