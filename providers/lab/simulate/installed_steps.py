"""What a simulated installed system does of its work: it notes commands, and runs none.

Its agent is the real one, on the host that the simulation runs on: no command of a scenario may
ever be run there, and no file of the host be read or changed. Its files are those below ``ROOT``.
"""

import json
import posixpath
import shlex
from pathlib import Path

from attrs import evolve, frozen

from agent.commands.ended import Ended
from agent.inspection.host_paths import HostPaths
from agent.steps.command import found, why_failed
from agent.steps.message import SHOWN
from agent.steps.packages import install_packages_step
from agent.steps.run import StepContext, run_step
from agent.whole_file import write_atomically
from agent.wire.step import (
    InstallPackages,
    ListFolder,
    PlaceFiles,
    ReadFile,
    Run,
    ShowMessage,
    Step,
)
from providers.lab.simulate.simulated_packages import SimulatedSoftware

COMMANDS = Path("var/log/commands.jsonl")
"""Below the folder of a system: each command that was given to it, oldest first."""
ROOT = Path("root")
"""Likewise what stands for the root of its file system."""
MESSAGES = Path("var/log/messages.jsonl")
"""Likewise each message to its people."""


@frozen
class SimulatedSystemSteps:
    """Does the steps of an installed system; ``folder`` has what it keeps from boot to boot."""

    folder: Path
    paths: HostPaths

    def __call__(self, step: Step, context: StepContext) -> dict[str, str]:
        """Do a step as ``agent.steps.run.run_step``, but for what would concern the host."""
        if isinstance(step, Run):
            context.require_installed_system(step.STEP_TYPE)
            return self._run(step)
        if isinstance(step, ShowMessage):
            context.require_installed_system(step.STEP_TYPE)
            self._note(MESSAGES, step.text)
            return {SHOWN: json.dumps(["the console"])}
        if isinstance(step, InstallPackages):
            context.require_installed_system(step.STEP_TYPE)
            software = SimulatedSoftware(self.folder, self.paths)
            return install_packages_step(step, context.of_packages(), lambda *_: software)
        return run_step(self._confined(step), context)

    def _confined(self, step: Step) -> Step:
        """Return a step whose paths on the machine lie below the simulated root."""
        if isinstance(step, PlaceFiles):
            files = tuple(evolve(each, target=self._inside(each.target)) for each in step.files)
            return evolve(step, files=files, remove=tuple(map(self._inside, step.remove)))
        if isinstance(step, ListFolder | ReadFile):
            return evolve(step, path=self._inside(step.path))
        return step

    def _inside(self, path: str) -> str:
        root = self.folder / ROOT
        root.mkdir(parents=True, exist_ok=True)
        return str(root / posixpath.normpath(f"/{path}").lstrip("/"))

    def _run(self, step: Run) -> dict[str, str]:
        """Note the command. ``false`` and ``exit N`` end so; any other with status 0."""
        self._note(COMMANDS, step.command)
        status = {"false": 1}.get(step.command[0], 0)
        if step.command[0] == "exit":
            status = int(step.command[1])
        ended = Ended(status, f"simulated: {shlex.join(step.command)}\n")
        error = why_failed(step, ended)
        if error is not None:
            raise error
        return found(ended)

    def _note(self, name: Path, what: object) -> None:
        log = self.folder / name
        log.parent.mkdir(parents=True, exist_ok=True)
        before = log.read_bytes() if log.exists() else b""
        write_atomically(log, before + json.dumps(what).encode() + b"\n")
