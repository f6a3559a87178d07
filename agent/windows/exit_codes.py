"""What the exit statuses of Windows' installers mean: one table.

Sources, all Microsoft: "MsiExec.exe and InstMsi.exe error messages" (Windows Installer), "System
Error Codes" (0 to 15999), "Windows Update error code list by component" (0x8024…, 0x0024…),
"Windows Update error reference" (0x800F…, 0x8007…: facility Win32 in an HRESULT).
"""

from collections.abc import Mapping

from attrs import frozen

INSTALLED = "installed"
REBOOT_NEEDED = "reboot-needed"
REBOOT_BEGUN = "reboot-begun"
BUSY = "busy"
"""Another installation runs, or a reboot has to come first: the same call may succeed later."""
PRESENT = "present"
"""It was there before; nothing was done."""
ABSENT = "absent"
"""What should be changed or removed is not there."""
NOT_APPLICABLE = "not-applicable"
FAILED = "failed"

OUTCOMES = (
    INSTALLED,
    REBOOT_NEEDED,
    REBOOT_BEGUN,
    BUSY,
    PRESENT,
    ABSENT,
    NOT_APPLICABLE,
    FAILED,
)


@frozen
class ExitCode:
    """One exit status. ``name`` is Microsoft's."""

    status: int
    name: str
    outcome: str
    meaning: str
    action: str = ""


_CHECK_PACKAGE = "Compare the package with its source, and try it by hand on one such machine"
_SEE_LOG = "See the installer's log for the action that failed"
_MAKE_ROOM = "Make room on the system's disk"
_REPAIR = "Repair the component store: dism /online /cleanup-image /restorehealth"

_TABLE = (
    ExitCode(0, "ERROR_SUCCESS", INSTALLED, "it is installed"),
    ExitCode(5, "ERROR_ACCESS_DENIED", FAILED, "access was denied", "Run the agent as the system"),
    ExitCode(13, "ERROR_INVALID_DATA", FAILED, "its data is invalid", _CHECK_PACKAGE),
    ExitCode(87, "ERROR_INVALID_PARAMETER", FAILED, "an argument is wrong", _CHECK_PACKAGE),
    ExitCode(112, "ERROR_DISK_FULL", FAILED, "the disk is full", _MAKE_ROOM),
    ExitCode(
        1058,
        "ERROR_SERVICE_DISABLED",
        FAILED,
        "the service Windows Update is disabled",
        "Let it start on demand (sc config wuauserv start= demand)",
    ),
    ExitCode(
        1601,
        "ERROR_INSTALL_SERVICE_FAILURE",
        FAILED,
        "the service Windows Installer cannot be reached",
        "Look at the service msiserver of the machine",
    ),
    ExitCode(1602, "ERROR_INSTALL_USEREXIT", FAILED, "somebody cancelled it", _SEE_LOG),
    ExitCode(1603, "ERROR_INSTALL_FAILURE", FAILED, "a fatal error ended it", _SEE_LOG),
    ExitCode(1605, "ERROR_UNKNOWN_PRODUCT", ABSENT, "the product is not installed"),
    ExitCode(1612, "ERROR_INSTALL_SOURCE_ABSENT", FAILED, "its source is gone", _CHECK_PACKAGE),
    ExitCode(
        1618,
        "ERROR_INSTALL_ALREADY_RUNNING",
        BUSY,
        "another installation is running",
        "Wait for it to end; the next run tries again",
    ),
    ExitCode(
        1619, "ERROR_INSTALL_PACKAGE_OPEN_FAILED", FAILED, "it cannot be opened", _CHECK_PACKAGE
    ),
    ExitCode(
        1620, "ERROR_INSTALL_PACKAGE_INVALID", FAILED, "it is no valid package", _CHECK_PACKAGE
    ),
    ExitCode(1622, "ERROR_INSTALL_LOG_FAILURE", FAILED, "its log cannot be written", _MAKE_ROOM),
    ExitCode(1624, "ERROR_INSTALL_TRANSFORM_FAILURE", FAILED, "a transform fails", _CHECK_PACKAGE),
    ExitCode(
        1625,
        "ERROR_INSTALL_PACKAGE_REJECTED",
        FAILED,
        "a policy of the machine forbids it",
        "Allow it in the machine's policies for Windows Installer",
    ),
    ExitCode(1627, "ERROR_FUNCTION_FAILED", FAILED, "it cannot be carried out", _CHECK_PACKAGE),
    ExitCode(
        1632, "ERROR_INSTALL_TEMP_UNWRITABLE", FAILED, "its temporary folder is full", _MAKE_ROOM
    ),
    ExitCode(
        1633,
        "ERROR_INSTALL_PLATFORM_UNSUPPORTED",
        NOT_APPLICABLE,
        "it is for another processor",
        "Give the package a target with its architecture",
    ),
    ExitCode(1636, "ERROR_PATCH_PACKAGE_INVALID", FAILED, "it is no valid patch", _CHECK_PACKAGE),
    ExitCode(
        1638,
        "ERROR_PRODUCT_VERSION",
        FAILED,
        "another version of the product is installed",
        "Remove that version first, or use a package that upgrades it",
    ),
    ExitCode(
        1639, "ERROR_INVALID_COMMAND_LINE", FAILED, "an argument is wrong", "Correct `arguments`"
    ),
    ExitCode(1641, "ERROR_SUCCESS_REBOOT_INITIATED", REBOOT_BEGUN, "it began a reboot"),
    ExitCode(
        1642,
        "ERROR_PATCH_TARGET_NOT_FOUND",
        NOT_APPLICABLE,
        "what it patches is not there",
        "Install that first",
    ),
    ExitCode(3010, "ERROR_SUCCESS_REBOOT_REQUIRED", REBOOT_NEEDED, "a reboot finishes it"),
    ExitCode(0x0024_0005, "WU_S_REBOOT_REQUIRED", REBOOT_NEEDED, "a reboot finishes it"),
    ExitCode(0x0024_0006, "WU_S_ALREADY_INSTALLED", PRESENT, "it was installed before"),
    ExitCode(
        0x8007_0005, "E_ACCESSDENIED", FAILED, "access was denied", "Run the agent as the system"
    ),
    ExitCode(0x8007_0070, "ERROR_DISK_FULL", FAILED, "the disk is full", _MAKE_ROOM),
    ExitCode(
        0x8007_0422,
        "ERROR_SERVICE_DISABLED",
        FAILED,
        "the service Windows Update is disabled",
        "Let it start on demand (sc config wuauserv start= demand)",
    ),
    ExitCode(
        0x8007_3712, "ERROR_SXS_COMPONENT_STORE_CORRUPT", FAILED, "a component is damaged", _REPAIR
    ),
    ExitCode(
        0x800F_081E,
        "CBS_E_NOT_APPLICABLE",
        NOT_APPLICABLE,
        "the update is not for this Windows",
        "Give the package a target with the versions that it is for",
    ),
    ExitCode(0x800F_0831, "CBS_E_STORE_CORRUPTION", FAILED, "a component is damaged", _REPAIR),
    ExitCode(
        0x8024_0016,
        "WU_E_INSTALL_NOT_ALLOWED",
        BUSY,
        "another installation is running, or a reboot has to come first",
        "Wait for it to end, or restart the machine; the next run tries again",
    ),
    ExitCode(
        0x8024_0017,
        "WU_E_NOT_APPLICABLE",
        NOT_APPLICABLE,
        "the update is not for this Windows, or a newer one is installed",
        "Give the package a target with the versions that it is for",
    ),
)

EXIT_CODES: Mapping[int, ExitCode] = {code.status: code for code in _TABLE}

_OWN_STATUSES = range(16_000, 1 << 31)


def meaning_of(status: int) -> ExitCode:
    """Return what an installer's status means; a failure without a name where nobody knows."""
    known = EXIT_CODES.get(status & 0xFFFF_FFFF)
    if known is not None:
        return known
    shown = f"0x{status & 0xFFFF_FFFF:08X}" if status not in _OWN_STATUSES else str(status)
    shown = str(status) if 0 <= status < _OWN_STATUSES.start else shown
    return ExitCode(status, "", FAILED, f"it ended with status {shown}", _SEE_LOG)


def statuses(*outcomes: str) -> tuple[int, ...]:
    """Return the statuses of these outcomes, for example those that mean installed."""
    return tuple(code.status for code in _TABLE if code.outcome in outcomes)
