"""Packages that a machine shall have, and what became of each.

Nothing here is secret: commands, arguments and signs are shown in logs and reports.
"""

from typing import Any, ClassVar

from attrs import field, frozen, validators

_MOST_ITEMS = 1000
_LONGEST_NAME = 255
_LONGEST_TEXT = 4096
MOST_OUTPUT = 16 << 10
"""Characters of an installer's output that a result keeps: its end."""

ADAPTERS = ("apt", "dnf", "zypper", "deb", "rpm", "msi", "msu", "exe", "script")
"""``apt``, ``dnf`` and ``zypper`` take a package by name from the machine's own sources;
``deb``, ``rpm``, ``msi`` and ``msu`` install the files; ``exe`` and ``script`` run the command."""

TYPES = ("service-pack", "hotfix", "patch", "application")
"""In the order in which they are installed."""

STATES = (
    "present",
    "installed",
    "not-detected",
    "failed-but-detected",
    "failed",
    "not-applicable",
    "waits-for-reboot",
    "blocked",
    "timed-out",
)
"""What became of a package.

``present``: it was detected before anything was done. ``installed``: the installer succeeded
and it is detected. ``not-detected``: the installer said that it succeeded, and it is not
detected. ``failed-but-detected``: the installer failed, and it is detected. ``failed``: neither.
``not-applicable``: no target fits this system. ``waits-for-reboot``: installed, and a reboot
finishes it. ``blocked``: a package that it requires is not there. ``timed-out``: the installer
did not end in its time, or waited for somebody, and was ended.
"""

_digest = validators.matches_re(r"^[0-9a-f]{64}\Z")
_text = validators.and_(validators.max_len(_LONGEST_TEXT), validators.matches_re(r"^[^\x00]*\Z"))
_few: Any = validators.max_len(_MOST_ITEMS)
_file_name = validators.and_(
    validators.max_len(_LONGEST_NAME),
    validators.matches_re(r'^(?![. -])[^/\\:*?"<>|\x00-\x1f\x7f]+(?<![. ])\Z'),
)
"""One part of a path that every system allows, that is no option and not hidden."""
_status = validators.and_(validators.ge(0), validators.le(0xFFFF_FFFF))
_texts = validators.and_(_few, validators.deep_iterable(_text))
_statuses = validators.and_(_few, validators.deep_iterable(_status))


@frozen
class PackageFile:
    """A file of a package. ``size`` is in bytes."""

    name: str = field(validator=_file_name)
    sha256: str = field(validator=_digest)
    size: int = field(validator=validators.ge(0))


@frozen
class PackageTarget:
    """A system that the package is for; an empty field fits any.

    ``family`` is os-release's ID, or the first known one of ID_LIKE (``rhel`` for Rocky Linux), or
    ``windows``. A version fits what is equal to it or begins with it and a dot. ``architecture``
    is ``amd64``, ``arm64`` or ``i386``; ``language`` as in ``ja`` or ``pt-BR``.
    """

    family: str = field(default="", validator=_text)
    versions: tuple[str, ...] = field(default=(), validator=_texts)
    architecture: str = field(default="", validator=_text)
    language: str = field(default="", validator=_text)


@frozen
class FileSign:
    """A file that is there; with ``version``, in that version or a higher one."""

    SIGN_TYPE: ClassVar[str] = "file"
    path: str = field(validator=_text)
    version: str = field(default="", validator=_text)


@frozen
class RegistrySign:
    """A value of the Windows registry. Empty ``name``: the default one; None: any ``value``."""

    SIGN_TYPE: ClassVar[str] = "registry"
    key: str = field(validator=_text)
    name: str = field(default="", validator=_text)
    value: str | None = field(default=None, validator=validators.optional(_text))


@frozen
class PackageSign:
    """An entry of the system's list of software; with ``version``, that one or a higher one."""

    SIGN_TYPE: ClassVar[str] = "package"
    name: str = field(validator=_text)
    version: str = field(default="", validator=_text)


@frozen
class CommandSign:
    """A command that ends with ``status`` and, where given, has ``output`` in what it prints."""

    SIGN_TYPE: ClassVar[str] = "command"
    command: tuple[str, ...] = field(validator=[validators.min_len(1), _texts])
    status: int = field(default=0, validator=_status)
    output: str = field(default="", validator=_text)


Sign = FileSign | RegistrySign | PackageSign | CommandSign
"""What shows that a package is installed. On the wire its field ``type`` is SIGN_TYPE."""


@frozen
class WantedPackage:
    """A package that a machine shall have, and how it gets it."""

    name: str = field(validator=validators.and_(validators.min_len(1), _text))
    """By which results and ``requires`` name it."""
    adapter: str = field(validator=validators.in_(ADAPTERS))
    version: str = field(default="", validator=_text)
    """Of the software; with ``apt``, ``dnf`` and ``zypper`` exactly this one is asked for. Empty:
    the newest that the sources have."""
    type: str = field(default="application", validator=validators.in_(TYPES))
    software: str = field(default="", validator=_text)
    """What the system's package manager calls it; empty: as ``name``."""
    files: tuple[PackageFile, ...] = field(default=(), validator=_few)
    command: tuple[str, ...] = field(default=(), validator=_texts)
    """Of ``exe`` and ``script``: the program and its arguments, without a shell. Where a word is
    the name of one of the files, it stands for that file's path. Empty: the first file."""
    arguments: tuple[str, ...] = field(default=(), validator=_texts)
    """More arguments: after the command, or for the package manager or the MSI."""
    success: tuple[int, ...] = field(default=(0,), validator=_statuses)
    """Exit statuses that mean installed."""
    reboot_needed: tuple[int, ...] = field(default=(), validator=_statuses)
    """Exit statuses that mean installed, and a reboot finishes it."""
    timeout: int = field(
        default=7200, validator=validators.and_(validators.ge(1), validators.le(86_400))
    )
    """Seconds that one run of the installer may take, with all that it starts."""
    session: str = field(default="service", validator=validators.in_(("service", "user")))
    """``user``: as the user who is logged in at the machine."""
    detect: tuple[Sign, ...] = field(default=(), validator=_few)
    """All must be there. Empty: the package manager's list has ``software`` in ``version`` or a
    higher one; ``exe``, ``script`` and ``msu`` need signs (RW203)."""
    requires: tuple[str, ...] = field(default=(), validator=_texts)
    """Names of packages that are installed before it."""
    exclusive: bool = False
    """Nothing else is installed between it and its reboot."""
    reboot: str = field(
        default="if-needed", validator=validators.in_(("never", "if-needed", "always"))
    )
    """``if-needed`` asks the exit status."""
    targets: tuple[PackageTarget, ...] = field(default=(), validator=_few)
    """One must fit; empty: any system."""

    @property
    def software_name(self) -> str:
        """What the system's package manager calls it."""
        return self.software or self.name


@frozen
class PackageResult:
    """What became of one package on one machine."""

    name: str = field(validator=_text)
    version: str = field(validator=_text)
    state: str = field(validator=validators.in_(STATES))
    code: str = ""
    """Of the error, with ``cause`` and ``action``; empty where there is none."""
    cause: str = ""
    action: str = ""
    status: int | None = None
    """The installer's exit status; None where it did not run or end by itself."""
    seconds: int = 0
    """That the installer ran."""
    output: str = field(default="", validator=validators.max_len(MOST_OUTPUT))
    """The end of what the installer printed, for people."""
    version_before: str = ""
    """In the system's list of software; empty where it was not there."""
    version_after: str = ""
    reboot: bool = False
    """Whether it wants a reboot that has not happened yet."""
    attempts: int = 0
    """How often its installer was begun, in all runs since it was last detected."""
    stalled: bool = False
    """Whether it was tried as often as it may be; it is not tried again until its description
    changes or somebody says so."""

    @property
    def is_there(self) -> bool:
        """Whether the machine has it."""
        return self.state in ("present", "installed", "failed-but-detected")
