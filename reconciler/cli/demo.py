"""``rackwright lab demo``: the main job, end to end, on a virtual rack."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote

import click
from git import Actor, Repo
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from providers.lab.client import RackClient
from providers.lab.rack_file import load_rack
from providers.lab.up import rack_up
from reconciler.cli.options import folder_option
from reconciler.errors import ReconcilerError
from reconciler.planning.plan import EXIT_NOTHING, EXIT_RISKY
from reconciler.views.console import console
from reconciler.views.progress import build_progress

_HOW_TO_GO_ON = """\
The rack is up. To go on, paste this into a terminal, as root:

  export PATH={programs}:$PATH
{exports}

A server inside the rack, which follows the repository:

  rackwright lab exec -- rackwright serve > {log} 2>&1 &

A change (a new run token means: clone it again), a commit, and what it would do:

  sed -i '/clone-golden/{{n;s/run: .*/run: 2/}}' "$RACKWRIGHT_REPO/machines.yaml"
  git --no-pager -C "$RACKWRIGHT_REPO" diff
  git -C "$RACKWRIGHT_REPO" commit --all --message 'Clone node-01 again'
  rackwright plan --no-pager

Carry it out (without --yes=1 it asks for the number of disks to overwrite), then look:

  rackwright apply --yes=1
  rackwright status
  rackwright get machine node-01

The end of it all:

  kill %1
  rackwright lab down
  unset {names}"""


@dataclass
class _Demo:
    """The demo's folder, its screen and how long each phase took."""

    directory: Path
    screen: Console
    phases: list[tuple[str, float]] = field(default_factory=list)

    @property
    def run(self) -> Path:
        """The folder that is made anew each time."""
        return self.directory / "run"

    @contextmanager
    def phase(self, title: str) -> Iterator[None]:
        """Announce a phase and note how long it took."""
        self.screen.rule(Text(title, style="bold"), align="left")
        began = time.monotonic()
        yield
        self.phases.append((title, time.monotonic() - began))


@click.command()
@folder_option(
    "--dir",
    "directory",
    default=Path(".cache/lab"),
    text="Keeps what was built; its folder `run` is made anew each time.",
)
@click.option(
    "--example",
    default=Path("examples/lab"),
    show_default=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder with `fleet/` and `rack.yaml`.",
)
@folder_option(
    "--packages",
    default=Path(".cache/deploy-os"),
    text="Keeps the packages that the Deploy-OS is made of.",
)
@click.option("--keep", is_flag=True, help="Leave the rack up to play with.")
def demo(directory: Path, example: Path, packages: Path, *, keep: bool) -> int:
    """Capture a golden machine and clone it, from a commit in Git to a running system.

    Builds what is missing, starts a virtual rack, and then runs the same commands
    that you would type. Needs root.
    """
    setting = _Demo(directory.resolve(), console())
    began = time.monotonic()
    with setting.phase("Build the Deploy-OS"):
        _rackwright(["deploy-os", "build", "--cache", str(packages.resolve())], setting)
    client = _rack_up(setting, example)
    try:
        with setting.phase("Commit the example fleet to Git"):
            _commit(setting, example / "fleet")
        _main_job(setting, client)
    finally:
        if not keep:
            client.down()
    _summary(setting, time.monotonic() - began, keep=keep)
    return 0


def _rack_up(setting: _Demo, example: Path) -> RackClient:
    with setting.phase("Start the virtual rack"):
        client = RackClient(setting.run / "rack")
        client.down()
        shutil.rmtree(setting.run, ignore_errors=True)
        rack = load_rack(example / "rack.yaml")
        golden = setting.directory / "cache" / "golden"
        with build_progress(setting.screen, "rack") as progress:
            rack_up(rack, setting.run / "rack", golden, lambda phase: progress(phase, None))
    return client


def _commit(setting: _Demo, fleet: Path) -> None:
    copy = setting.run / "fleet"
    shutil.copytree(fleet, copy)
    author = Actor("Demo", "demo@example.org")
    with Repo.init(copy, initial_branch="main") as repository:
        with repository.config_writer() as settings:  # for who goes on with commits of their own
            settings.set_value("user", "name", author.name or "")
            settings.set_value("user", "email", author.email or "")
        repository.git.add(all=True)
        commit = repository.index.commit("The example fleet", author=author, committer=author)
        setting.screen.print(f"{copy}: commit {commit.hexsha[:12]}", markup=False)


def _main_job(setting: _Demo, client: RackClient) -> None:
    def run(title: str, arguments: Sequence[str], expected: int = 0) -> None:
        with setting.phase(title):
            _rackwright(arguments, setting, inside=client.exec_argv, expected=expected)

    plan_file = str(setting.run / "plan.json")
    run("Check the repository", ["validate"])
    run("Plan: what is not known yet", ["plan"], EXIT_RISKY)
    run("Capture the golden machine, look at the blank one", ["apply", "--yes"])
    run("See the image", ["image", "ls"])
    run("Plan again: now it would overwrite a disk", ["plan", "--out", plan_file], EXIT_RISKY)
    run("Clone: carry out exactly that plan", ["apply", plan_file, "--yes=1"])
    run("The same command says: nothing to do", ["plan"], EXIT_NOTHING)
    run("Status", ["status"])


def _rackwright(
    arguments: Sequence[str],
    setting: _Demo,
    *,
    inside: Callable[[Sequence[str]], Sequence[str]] = list,
    expected: int = 0,
) -> None:
    """Run one command as a user would, and insist on its exit code."""
    prompt = Text("$", style="bold green")
    setting.screen.print(prompt.append(f" rackwright {' '.join(arguments)}", style="default"))
    environment = {**os.environ, **_environment(setting.directory)}
    command = inside([sys.executable, "-m", "reconciler.cli", *arguments])
    done = subprocess.run(list(command), env=environment, check=False)
    if done.returncode != expected:
        raise ReconcilerError(
            "RW908",
            f"`rackwright {' '.join(arguments)}` ended with {done.returncode}, not {expected}",
            f"Read its output above and the consoles in {setting.run / 'rack'}",
        )


def _environment(directory: Path) -> dict[str, str]:
    """Return what makes commands work on the demo in ``directory``."""
    places = {
        "RACKWRIGHT_LAB": "run/rack",
        "RACKWRIGHT_REPO": "run/fleet",
        "RACKWRIGHT_STATE": "run/state",
        "RACKWRIGHT_BOOT_FILES": "cache/deploy-os",
    }
    return {name: str(directory / place) for name, place in places.items()}


def _summary(setting: _Demo, total: float, *, keep: bool) -> None:
    table = Table(box=box.SIMPLE, pad_edge=False, title="How long it took", title_justify="left")
    table.add_column("phase")
    table.add_column("seconds", justify="right")
    for title, seconds in setting.phases:
        table.add_row(title, f"{seconds:.1f}")
    table.add_section()
    table.add_row("all", f"{total:.1f}")
    setting.screen.print(table)
    if keep:
        # Not by the console: pasted lines must not be wrapped.
        click.echo(how_to_go_on(setting.directory, Path(sys.executable).parent))


def how_to_go_on(directory: Path, programs: Path) -> str:
    """Return commands to paste, with their reasons, that go on with a demo in ``directory``.

    ``programs`` is the folder that has ``rackwright``.
    """
    exports = [f"  export {name}={quote(value)}" for name, value in _environment(directory).items()]
    return _HOW_TO_GO_ON.format(
        programs=quote(str(programs)),
        exports="\n".join(exports),
        names=" ".join(_environment(directory)),
        log=quote(str(directory / "run" / "serve.log")),
    )
