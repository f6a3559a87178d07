"""``rackwright``: the entry point."""

import gc
import os
import select
import signal
import sys
from io import TextIOWrapper

import click

from agent.errors import CodedError
from reconciler.cli.commands import cli
from reconciler.cli.lazy_group import BrokenOutputError
from reconciler.cli.refusal import DEBUG, refusal, unexpected

COLLECTION = (50_000, 10, 100)
"""Thresholds of Python's garbage collector (``gc.set_threshold``), which looks for circles: its
own 700 new objects suit small programs, and a fleet of 40,000 machines is a million objects
without circles. Reading one must not have all objects looked through, which takes 0.3 s."""


SIGNALLED = 128
"""Added to the number of the signal that ended a command, as shells do: 143 for SIGTERM. With 141,
for SIGPIPE, one ends whose output nobody reads any more: what it would have said is not known."""


def main() -> None:
    """Run the command line; every expected error ends as a code, a cause and an action."""
    # No other package has a say in what is valid, and looking for such takes 15 ms.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    gc.set_threshold(*COLLECTION)
    _open_standard_streams()
    _end_as_by_ctrl_c()
    sys.exit(_status())


def _end_as_by_ctrl_c() -> None:
    """Let SIGTERM, and SIGHUP unless it is ignored (nohup), end a command as Ctrl-C does.

    What it was doing is undone or cleaned up then. A server has its own way to end.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: object) -> None:
    del frame
    signal.signal(number, signal.SIG_IGN)  # a second one would break off the cleaning up
    _ended_by.append(number)
    raise KeyboardInterrupt


_ended_by: list[int] = []


def _reader_is_gone() -> bool:
    """Whether nobody reads standard output or standard error any more."""
    watched = select.poll()
    for number in (1, 2):
        watched.register(number, 0)
    return any(event & select.POLLERR for _, event in watched.poll(0))


def _open_standard_streams() -> None:
    """Let any text be written to any terminal, and to none.

    What the terminal's encoding has no character for is replaced. A stream that was closed
    (``>&-``) leads nowhere: otherwise the next file that is opened would get its number, and
    what is printed would go into it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _status() -> int:
    try:
        status = cli.main(prog_name="rackwright", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        return SIGNALLED + (_ended_by or [signal.SIGINT])[0]
    except (BrokenOutputError, BrokenPipeError) as error:
        if not _reader_is_gone():
            click.echo(unexpected(error.__cause__ or error), err=True)
            return 1
        # What is still to be written when Python ends goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return SIGNALLED + signal.SIGPIPE
    except click.ClickException as error:
        error.show()
        return 1
    except CodedError as error:
        click.echo(refusal(error), err=True)
        return 1
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        click.echo(unexpected(error), err=True)
        return 1
    return status if isinstance(status, int) else 0
