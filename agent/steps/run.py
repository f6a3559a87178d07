"""The steps of an operation, each a function of the step and its context."""

import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import asdict, frozen

from agent.config import AgentConfig
from agent.errors import FinishedWorkError, TerminalError
from agent.identity.linux.apply import apply_identity
from agent.identity.linux.change import NewIdentity
from agent.identity.machine_identity import checked_identity
from agent.machine import LocalMachine
from agent.packages.engine import Fetch
from agent.packages.linux import LinuxSystem
from agent.steps.chunk_store import ChunkStore
from agent.steps.command import run_command_step
from agent.steps.disk_choice import (
    describe,
    find_disk,
    only_partitions,
    refuse_part,
    select_disk,
)
from agent.steps.files import FilesContext, place_files_step
from agent.steps.message import show_message_step
from agent.steps.packages import PackageContext, Software, install_packages_step
from agent.steps.reading import (
    Bring,
    ReadingContext,
    list_folder_step,
    no_server,
    read_file_step,
)
from agent.steps.several_disks import captured_with, written_with
from agent.steps.upgrade import UpgradeContext, upgrade_agent_step
from agent.version import AGENT_VERSION
from agent.wire.disk import Disk
from agent.wire.imaged_system import ImagedSystem
from agent.wire.package import PackageFile
from agent.wire.step import (
    ApplyIdentity,
    Backup,
    Finish,
    InspectDisks,
    InstallPackages,
    ListFolder,
    PlaceFiles,
    ReadFile,
    Restore,
    Run,
    ShowMessage,
    Step,
    UpgradeAgent,
)

if TYPE_CHECKING:
    from agent.imaging.manifest import Manifest

_WRONG_AGENT = "Report this: the server gave the operation to the wrong agent"


@frozen
class StepContext:
    """What one running step works with, besides its own fields.

    ``progress(done, total)`` takes bytes, may be called from any thread as often as it
    likes, and raises (FencedError above all) when the step has to stop at once; ``check`` does
    so without saying anything. ``writing`` is called before the first write to a disk.
    ``report`` sends a fresh observation of the machine. ``installed_on`` returns the
    configuration of the agent that is installed on a disk, None where there is none;
    ``system_on`` returns the system there as an image keeps it; both are told the disks that go
    with it. ``steps`` are all of the operation. ``state`` is the agent's state directory;
    ``fetch`` brings a file of a package there, ``bring`` one of this machine to the server.
    """

    environment: str
    machine_name: str
    operation: str
    machine: LocalMachine
    installed_on: Callable[[Disk, Sequence[Disk]], AgentConfig | None]
    system_on: Callable[[Disk, Sequence[Disk]], ImagedSystem | None]
    chunks: ChunkStore
    progress: Callable[[int, int], None]
    check: Callable[[], None]
    writing: Callable[[], None]
    report: Callable[[], None]
    state: Path
    fetch: Fetch
    pause: Callable[[float], None]
    bring: Bring = no_server
    attempt: int = 1
    steps: tuple[Step, ...] = ()

    def require_ram_system(self, step: str) -> None:
        """Raise TerminalError RW571 in an installed system, whose disks are in use."""
        if self.environment != "deploy-os":
            raise TerminalError(
                "RW571",
                f"the step {step} runs in the Deploy-OS only, and this agent is {self.environment}",
                _WRONG_AGENT,
            )

    def of_packages(self) -> PackageContext:
        """Return what the step that installs packages works with."""
        return PackageContext(
            state=self.state,
            run=self.operation,
            fetch=self.fetch,
            check=self.check,
            pause=self.pause,
        )

    def of_files(self) -> FilesContext:
        """Return what the step that brings files works with."""

        def fetch(sha256: str, size: int) -> Path:
            return self.fetch(PackageFile(sha256, sha256, size))

        return FilesContext(self.state, self.operation, fetch, self.check)

    def of_reading(self) -> ReadingContext:
        """Return what the steps that read files work with."""
        return ReadingContext(self.state, self.bring, self.check)

    def of_upgrade(self) -> UpgradeContext:
        """Return what the step that upgrades this agent works with."""
        run = f"{self.operation}/{self.attempt}"
        return UpgradeContext.of_this_agent(self.state, run, self.of_files().fetch, self.report)

    def require_installed_system(self, step: str) -> None:
        """Raise TerminalError RW571 in the Deploy-OS, where no system runs."""
        if self.environment == "deploy-os":
            raise TerminalError(
                "RW571", f"the step {step} runs in an installed system only", _WRONG_AGENT
            )


InstalledStep = (
    Run | InstallPackages | PlaceFiles | UpgradeAgent | ListFolder | ReadFile | ShowMessage
)
"""What is done in an installed system, beside all else that runs there."""
StepRunner = Callable[[Step, StepContext], dict[str, str]]
"""Does one step and returns what it found, as ``run_step``."""


def run_step(step: Step, context: StepContext, software: Software = LinuxSystem) -> dict[str, str]:
    """Do one step and return what it found; raises CodedError where it fails.

    ``software`` is what says what is installed on the running system, and installs. ``finish`` is
    not run here: it happens after the server knows that all is done.
    """
    if isinstance(step, InspectDisks):
        context.report()
        return {"disks": str(len(context.machine.disks().disks))}
    if isinstance(step, Backup):
        return _backup(step, context)
    if isinstance(step, Restore):
        return _restore(step, context)
    if isinstance(step, ApplyIdentity):
        return _apply_identity(step, context)
    if isinstance(step, Finish):
        raise TerminalError(
            "RW570",
            f"the step {step.STEP_TYPE} is not one that can be run",
            "Report this: the server planned an impossible operation",
        )
    context.require_installed_system(step.STEP_TYPE)
    return _run_in_system(step, context, software)


def _run_in_system(step: InstalledStep, context: StepContext, software: Software) -> dict[str, str]:
    if isinstance(step, Run):
        return run_command_step(step, context.check)
    if isinstance(step, InstallPackages):
        return install_packages_step(step, context.of_packages(), software)
    if isinstance(step, PlaceFiles):
        return place_files_step(step, context.of_files())
    if sys.platform == "win32":
        raise TerminalError(
            "RW598",
            f"the agent {AGENT_VERSION} cannot do the step {step.STEP_TYPE} on Windows",
            "Ask machines with Linux only",
        )
    if isinstance(step, ListFolder):
        return list_folder_step(step, context.of_reading())
    if isinstance(step, ReadFile):
        return read_file_step(step, context.of_reading())
    if isinstance(step, UpgradeAgent):
        return upgrade_agent_step(step, context.of_upgrade())
    return show_message_step(step)


def _backup(step: Backup, context: StepContext) -> dict[str, str]:
    """Make an image of the disk that the selector means, or of its partitions.

    Nothing is written to it but repairs. The system on it is looked at with the disks of the
    operation's other backups.

    Returns ``manifest`` (the image's digest) and ``disk``; ``repaired`` where something was, and
    ``bytes-unreadable`` with ``unreadable`` where sectors were skipped. Raises what the choice of
    the disk, the repair, the capture and the server raise.
    """
    context.require_ram_system(step.STEP_TYPE)
    # Compiled code that only the RAM system has.
    from agent.imaging import manifest as manifests  # noqa: PLC0415
    from agent.imaging.capture import capture  # noqa: PLC0415
    from agent.imaging.losses import Loss, words  # noqa: PLC0415
    from agent.imaging.repair import repair  # noqa: PLC0415

    disks = context.machine.disks().disks
    disk = select_disk(step.disk, disks)
    others = captured_with(step, context.steps, disks)
    repaired: Sequence[str] = ()
    if step.repair:
        repaired = repair(disk, context.writing, context.check, step.partitions)
    # Before the disk is opened, which keeps mounts away; and as the image will have it.
    system = context.system_on(only_partitions(disk, step.partitions), others)
    lost: list[Loss] = []
    image = capture(
        disk,
        context.chunks,
        context.progress,
        system,
        full=step.mode == "full",
        partitions=step.partitions,
        on_loss=lost.extend if step.on_bad_sector == "skip-and-mark" else None,
        check_on=context.check,
    )
    encoded = manifests.encode(image)
    digest = manifests.digest(encoded)
    stored = context.chunks.put_manifest(context.operation, step.image, encoded)
    if stored != digest:
        raise TerminalError(
            "RW456",
            f"the server stored the manifest as {stored}, but its digest is {digest}",
            "Run the backup again; if it recurs, check the server's memory and disk",
        )
    found = {"manifest": digest, "disk": describe(disk)}
    if repaired:
        found["repaired"] = "; ".join(repaired)
    if lost:
        found["bytes-unreadable"] = str(image.unreadable_bytes)
        found["unreadable"] = words(lost)
    return found


def _restore(step: Restore, context: StepContext) -> dict[str, str]:
    """Write the image, or partitions of it, to exactly the disk that the step names. Destructive.

    The manifest is checked against the digest that was approved before the disk is
    opened, and so are those of the operation's other restores, with their disks: what can be
    refused is refused before the first write to any. Returns what the restore counted, and
    ``disk``. TerminalError RW451 or RW452 where there is no such disk or more than one, RW457 for
    another manifest, RW573 where the disk has what this operation installed, RW575 where it is one
    part of something larger, RW588 where two steps mean one disk, RW463 where another disk has a
    volume group that the image's would clash with; and what the restore and the server raise.
    """
    context.require_ram_system(step.STEP_TYPE)
    # Compiled code that only the RAM system has.
    from agent.imaging.efivarfs import (  # noqa: PLC0415
        EfiVariables,
        partition_guids,
        write_entries,
    )
    from agent.imaging.partition_choice import Choice  # noqa: PLC0415
    from agent.imaging.restore import require_target, restore  # noqa: PLC0415

    disks = context.machine.disks().disks
    disk = find_disk(step.disk, disks)
    others = written_with(step, context.steps, disks)
    together = (disk, *(each for _, each in others))
    manifest = _required(step, disk, together, context)
    for other, target in others:
        if context.steps.index(other) > context.steps.index(step):
            require_target(
                _required(other, target, together, context),
                target,
                context.chunks,
                grow=other.grow,
                choice=Choice(other.partitions, other.boot_code),
            )
    before = partition_guids(disk)
    result = restore(
        manifest,
        disk,
        context.chunks,
        context.progress,
        grow=step.grow,
        choice=Choice(step.partitions, step.boot_code),
        writing=context.writing,
    )
    entries = ""
    if not step.partitions:
        variables = EfiVariables(context.machine.paths.sysfs / "firmware/efi/efivars")
        entries = write_entries(manifest, before, variables)
    return {
        "disk": describe(disk),
        "manifest": step.manifest,
        **counts(asdict(result)),
        **({"boot-entries": entries} if entries else {}),
    }


def _required(
    step: Restore, disk: Disk, together: Sequence[Disk], context: StepContext
) -> "Manifest":
    """Return the image that was approved for a disk, of those that are written ``together``."""
    from agent.imaging.lvm_disk import refuse_clash  # noqa: PLC0415

    refuse_part(disk)
    others = [each for each in together if each is not disk]
    refuse_finished(context.operation, context.installed_on(disk, others))
    manifest = _approved_manifest(step, context)
    kept = [each for each in context.machine.disks().disks if each not in together]
    refuse_clash(manifest, disk, kept)
    return manifest


def _approved_manifest(step: Restore, context: StepContext) -> "Manifest":
    """Return the image that was approved; TerminalError RW457 where another one is sent."""
    from agent.imaging import manifest as manifests  # noqa: PLC0415

    encoded = context.chunks.get_manifest(step.manifest)
    digest = manifests.digest(encoded)
    if digest != step.manifest:
        raise TerminalError(
            "RW457",
            f"the server sent the manifest {digest} where {step.manifest} was asked for",
            "Verify the image on the server",
        )
    return manifests.decode(encoded)


def refuse_finished(operation: str, installed: AgentConfig | None) -> None:
    """Raise FinishedWorkError RW573 where this operation installed the system, to its end.

    An attempt that was interrupted left a system that no server ever called verified.
    """
    if installed is not None and installed.operation == operation and installed.finished:
        cause = f"the disk has the system that operation {operation} installed"
        raise FinishedWorkError("RW573", cause, installed.finished)


def counts(values: Mapping[str, object]) -> dict[str, str]:
    """Return what a restore counted in the words of events: ``chunks-written`` and so on."""
    return {
        name.replace("_", "-"): ", ".join(value) if isinstance(value, tuple) else str(value).lower()
        for name, value in values.items()
    }


def installed_config(step: ApplyIdentity, context: StepContext) -> AgentConfig:
    """Return the configuration of the agent that is installed with an identity."""
    return AgentConfig(
        server=step.server.rstrip("/"),
        pin=step.pin,
        token=step.agent_token,
        operation=step.operation,
        machine=context.machine_name,
    )


def _apply_identity(step: ApplyIdentity, context: StepContext) -> dict[str, str]:
    """Change the system on the step's disk and install the agent in it.

    Parts of the system may be on the disks that the operation's other restores wrote.
    Raises what the choice of the disk and ``apply_identity`` raise; a wrong value in the
    step (TerminalError RW467) is found before the disk is touched.
    """
    context.require_ram_system(step.STEP_TYPE)
    identity = checked_identity(step)
    disks = context.machine.disks().disks
    disk = find_disk(step.disk, disks)
    restored = [find_disk(each.disk, disks) for each in context.steps if isinstance(each, Restore)]
    others = [each for each in restored if each.node != disk.node]
    new = NewIdentity(identity, uuid.uuid4().hex, installed_config(step, context))
    context.writing()
    result = apply_identity(context.machine.paths.sysfs, disk, new, context.progress, others)
    return {"disk": describe(disk), "hostname": identity.hostname, **result}
