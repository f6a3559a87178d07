"""The steps of scenarios."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from specs.diagnostics.codes import Code
from specs.kinds.record import Record
from specs.kinds.source_file import SourceFile
from specs.types.agent_version import AgentVersion
from specs.types.grown_partition import GrownPartition
from specs.types.invalid_value import InvalidValue
from specs.types.line import HardwareText, Line
from specs.types.name import ImageName, Name
from specs.types.partition_numbers import PartitionNumbers
from specs.types.place import FileMode, MachinePath, RepositoryPath
from specs.types.quantities import Duration, between
from specs.types.secret import SecretReference


class DiskSelection(Record):
    """Which disk a step means. Where it fits more than one, the step fails instead of guessing."""

    role: Literal["system"] = Field(
        default="system",
        description="system: the only fixed disk, or the one that the other fields name.",
        examples=["system"],
    )
    wwn: HardwareText | None = Field(
        default=None, description="Its World Wide Name.", examples=["0x5000c500a1b2c3d4"]
    )
    serial: HardwareText | None = Field(
        default=None, description="Its serial number.", examples=["S3Z8NB0K123456"]
    )
    path: HardwareText | None = Field(
        default=None,
        description="Where it is attached, as under /dev/disk/by-path.",
        examples=["pci-0000:00:04.0"],
    )


class InspectDisks(Record):
    """Look at the disks; change nothing."""


class Backup(Record):
    """Read a disk into an image; write nothing to the disk, but for `repair`."""

    image: ImageName = Field(
        description="The name of an Image document. No two machines may write one image: {machine} "
        "in the name stands for the machine's.",
        examples=["nightly-{machine}"],
    )
    disk: DiskSelection = Field(default_factory=DiskSelection, description="The disk to read.")
    mode: Literal["used", "full"] = Field(
        default="used",
        description="used: what file systems use; what is not understood is read whole. full: "
        "every sector of the disk, for what was deleted too.",
        examples=["full"],
    )
    partitions: PartitionNumbers = Field(
        default=(),
        description="The partitions to read, by the numbers of the partition table, hidden ones "
        "counted. Boot code and the table are kept too. The whole disk where absent.",
        examples=[[1, 3]],
    )
    on_bad_sector: Literal["fail", "skip-and-mark"] = Field(
        default="fail",
        description="What is done about sectors that cannot be read. fail: the backup ends and "
        "names the place. skip-and-mark: they become zeros in an image that says so, at most "
        "64 MiB of them.",
        examples=["skip-and-mark"],
    )
    repair: bool = Field(
        default=False,
        description="true: file systems that were not left clean are repaired on the disk before "
        "it is read. DISRUPTIVE.",
        examples=[True],
    )


class Restore(Record):
    """Make a disk equal to an image. DESTRUCTIVE."""

    image: ImageName = Field(
        description="The name of an Image document. With {machine} in it, each machine gets the "
        "newest image of that name that it wrote itself.",
        examples=["debian12-golden"],
    )
    disk: DiskSelection = Field(default_factory=DiskSelection, description="The disk to overwrite.")
    partitions: PartitionNumbers = Field(
        default=(),
        description="The partitions to write; the rest of the disk, its partition table too, stays "
        "as it is. The disk has to have them at the same places as the image, or nothing is "
        "written. The whole disk where absent.",
        examples=[[3]],
    )
    boot_code: bool = Field(
        default=False,
        description="true: with the partitions, the boot code for BIOS is written, which lies "
        "outside them. The whole disk has it always.",
        examples=[True],
    )
    identity: Literal["apply", "keep"] | None = Field(
        default=None,
        description="apply: the restored system becomes this machine; of several disks, the one "
        "that has the system. keep: it stays the machine that was captured. Where absent, apply "
        "for a whole disk and keep for partitions.",
        examples=["apply"],
    )
    grow: GrownPartition = Field(
        default="none",
        description="What takes the free space of a larger disk, with its file system (ext2 to "
        "ext4, XFS, Btrfs, NTFS): the last partition, one by its number, or an LVM volume as "
        "GROUP/VOLUME, which takes all free extents of its group.",
        examples=["last", 3, "vg0/root"],
    )

    @model_validator(mode="after")
    def _fits_what_is_restored(self) -> Self:
        if self.partitions and self.grow != "none":
            raise InvalidValue(
                "a partition grows only where the whole disk is restored",
                "remove grow or partitions",
                field="grow",
            ).as_pydantic()
        if self.boot_code and not self.partitions:
            raise InvalidValue(
                "the whole disk has its boot code already",
                "remove bootCode, or name partitions",
                field="bootCode",
            ).as_pydantic()
        return self


class Install(Record):
    """Install an operating system without anybody watching. DESTRUCTIVE."""

    installer: Name = Field(
        description="The name of an Installer document.", examples=["debian12-server"]
    )
    disk: DiskSelection | None = Field(
        default=None, description="The disk to install on; the installer's where absent."
    )


class InstallPackages(Record):
    """Install packages on the running system. Patches come before applications."""

    install: tuple[Name, ...] = Field(
        min_length=1,
        max_length=1000,
        description="The names of Package documents.",
        examples=[["example-agent"]],
    )
    when: Literal["now", "next-startup"] = Field(
        default="now",
        description="now: as soon as the step's turn comes. next-startup: when the machine "
        "starts next.",
        examples=["now"],
    )
    countdown: Annotated[Duration, between(Duration(5), Duration(3600))] | None = Field(
        default=None,
        description="How long the person at the machine is warned before. Between 5s and 1h; "
        "no warning where absent.",
        examples=["30s"],
    )
    skippable: bool = Field(
        default=False,
        description="true: the person at the machine may put it off.",
        examples=[True],
    )


class CopiedFile(Record):
    """A file, or a folder with all that is in it."""

    source: RepositoryPath = Field(
        description="Where it is in the repository, beside this document.", examples=["files/motd"]
    )
    target: MachinePath = Field(description="Where it goes on the machine.", examples=["/etc/motd"])
    owner: HardwareText | None = Field(
        default=None, description="Who owns it; the agent's user where absent.", examples=["root"]
    )
    group: HardwareText | None = Field(
        default=None, description="Its group; the owner's where absent.", examples=["adm"]
    )
    mode: FileMode | None = Field(
        default=None,
        description="Its permissions, in quotes; those of the source where absent. Linux only.",
        examples=["0644"],
    )


class Files(Record):
    """Bring files to the running system, or remove them."""

    copy_: tuple[CopiedFile, ...] = Field(
        alias="copy",
        default=(),
        min_length=1,
        max_length=1000,
        description="What is brought to the machine.",
        examples=[[{"source": "files/motd", "target": "/etc/motd"}]],
    )
    remove: tuple[MachinePath, ...] = Field(
        default=(),
        min_length=1,
        max_length=1000,
        description="What is removed from the machine. DISRUPTIVE.",
        examples=[["/etc/motd.old"]],
    )

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.model_fields_set:
            raise InvalidValue("nothing is copied or removed", "add copy or remove").as_pydantic()
        return self


class Run(Record):
    """Run a command on the running system."""

    command: tuple[Line, ...] = Field(
        min_length=1,
        max_length=1000,
        description="The program and its arguments. No shell reads them.",
        examples=[["systemctl", "restart", "chrony"]],
    )
    success: tuple[Annotated[int, Field(ge=0, le=4_294_967_295)], ...] = Field(
        default=(0,),
        min_length=1,
        max_length=100,
        description="Exit codes that mean it worked.",
        examples=[[0]],
    )
    timeout: Annotated[Duration, between(Duration(1), Duration(7 * 86_400))] = Field(
        default=Duration(600),
        description="After this long it is ended and has failed, with all that it started. "
        "Between 1s and 1w.",
        examples=["10m"],
    )
    silence: Annotated[Duration, between(Duration(10), Duration(86_400))] = Field(
        default=Duration(600),
        description="A command that writes nothing and uses no processor for this long is taken "
        "to wait for an answer that nobody gives: it is ended and has failed. Between 10s and 1d.",
        examples=["10m"],
    )
    session: Literal["service", "user"] = Field(
        default="service",
        description="service: it runs as the agent does. user: as the person who is logged in at "
        "the machine.",
        examples=["service"],
    )


class UpgradeAgent(Record):
    """Exchange the machine's agent for a newer release. One that does not work is taken back."""

    version: AgentVersion | None = Field(
        default=None,
        description="The version to have, or a newer one: `0.3.0`, or `0.3.0-2` for a build of it. "
        "The server's own version where absent.",
        examples=["0.3.0"],
    )
    health_within: Annotated[Duration, between(Duration(10), Duration(3600))] = Field(
        default=Duration(180),
        description="The new agent has to report within this time of its start, or the old one is "
        "used again. Between 10s and 1h.",
        examples=["3m"],
    )


class Firmware(Record):
    """Change firmware or its settings. DISRUPTIVE."""

    method: Literal["raw-image", "efi-application", "redfish"] = Field(
        description="raw-image: a floppy image is booted. efi-application: an EFI program is "
        "booted. redfish: the BMC takes the file.",
        examples=["efi-application"],
    )
    file: SourceFile = Field(
        description="What is booted or handed over.",
        examples=[{"url": "https://files.example.net/bios.efi", "sha256": "9f" * 32}],
    )
    arguments: tuple[HardwareText, ...] = Field(
        default=(),
        max_length=100,
        description="Arguments of an EFI application.",
        examples=[["/quiet"]],
    )
    version: HardwareText | None = Field(
        default=None,
        description="The version that the machine has afterwards; one that has it is left alone.",
        examples=["5.0.4012"],
    )


class PrepareMaster(Record):
    """Take what is its own from a system, so that a capture of it can become many. DESTRUCTIVE."""

    system: Literal["linux", "windows"] = Field(
        description="linux: keys, machine-id, leases and logs are removed. windows: Sysprep.",
        examples=["linux"],
    )
    administrator_password: SecretReference | None = Field(
        default=None,
        description="A reference to the administrator's password of the copies, for Windows.",
        examples=["!secret windows/administrator"],
    )


Action = (
    InspectDisks
    | Backup
    | Restore
    | Install
    | InstallPackages
    | Files
    | Run
    | UpgradeAgent
    | Firmware
    | PrepareMaster
)


_BESIDE = "timeout"
"""The field of a step that is no action."""


def _one_action(schema: dict[str, Any]) -> None:
    actions = [name for name in schema["properties"] if name != _BESIDE]
    schema["oneOf"] = [{"required": [name]} for name in actions]


class Step(Record):
    """One action: exactly one of the fields, and how long it may take."""

    model_config = ConfigDict(json_schema_extra=_one_action)

    inspect_disks: InspectDisks | None = Field(
        default=None, description="Look at the disks.", examples=[{}]
    )
    backup: Backup | None = Field(
        default=None,
        description="Read a disk into an image.",
        examples=[{"image": "debian12-golden"}],
    )
    restore: Restore | None = Field(
        default=None,
        description="Write an image to a disk.",
        examples=[{"image": "debian12-golden"}],
    )
    install: Install | None = Field(
        default=None,
        description="Install an operating system.",
        examples=[{"installer": "debian12-server"}],
    )
    packages: InstallPackages | None = Field(
        default=None,
        description="Install packages.",
        examples=[{"install": ["example-agent"]}],
    )
    files: Files | None = Field(
        default=None,
        description="Bring files to the machine or remove them.",
        examples=[{"copy": [{"source": "files/motd", "target": "/etc/motd"}]}],
    )
    run: Run | None = Field(
        default=None,
        description="Run a command.",
        examples=[{"command": ["systemctl", "restart", "chrony"]}],
    )
    upgrade_agent: UpgradeAgent | None = Field(
        default=None,
        description="Exchange the machine's agent for a newer release.",
        examples=[{"version": "0.3.0"}],
    )
    firmware: Firmware | None = Field(default=None, description="Change firmware or its settings.")
    prepare_master: PrepareMaster | None = Field(
        default=None,
        description="Take from a system what is its own, before it is captured.",
        examples=[{"system": "linux"}],
    )
    timeout: Annotated[Duration, between(Duration(1), Duration(7 * 86_400))] | None = Field(
        default=None,
        description="After this long the step, and the run with it, has failed. Between 1s and 1w; "
        "only the scenario's timeout holds where absent.",
        examples=["1h"],
    )

    @property
    def name(self) -> str:
        """Return the key of the step's one action, as in documents."""
        return str(type(self).model_fields[self._field].alias)

    @property
    def action(self) -> Action:
        """Return the one action of the step."""
        action: Action = getattr(self, self._field)
        return action

    @property
    def _field(self) -> str:
        (field,) = self.model_fields_set - {_BESIDE}
        return field

    @model_validator(mode="after")
    def _has_one_action(self) -> Self:
        given = self.model_fields_set - {_BESIDE}
        names = [type(self).model_fields[name].alias for name in given]
        if len(names) == 1:
            return self
        if not names:
            message = "the step has no action"
        else:
            message = f"one step has {len(names)} actions: {', '.join(sorted(map(str, names)))}"
        fields = type(self).model_fields
        every = [str(field.alias) for name, field in fields.items() if name != _BESIDE]
        hint = f"write one list item per action: {', '.join(every[:-1])} or {every[-1]}"
        raise InvalidValue(message, hint, Code.STEP_FORM).as_pydantic()
