r"""Whether Windows says that it has to restart.

Component servicing and Windows Update make a key, which is gone after the restart. Source:
Microsoft, "MoveFileEx": PendingFileRenameOperations are pairs of a file and its new name.
"""

from agent.commands.windows.host import Windows
from agent.windows.live_registry import CURRENT_VERSION, read_key, read_keys
from agent.windows.registry import RegistryKey, find

_SERVICING = rf"{CURRENT_VERSION}\Component Based Servicing\RebootPending"
_UPDATE = rf"{CURRENT_VERSION}\WindowsUpdate\Auto Update\RebootRequired"
_SESSION_MANAGER = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager"
_COMPUTER_NAME = r"HKLM\SYSTEM\CurrentControlSet\Control\ComputerName"
_RENAMES = ("PendingFileRenameOperations", "PendingFileRenameOperations2")


def pending_reasons(windows: Windows) -> tuple[str, ...]:
    """Return why it has to restart; nothing where it does not. TerminalError RW237."""
    reasons = []
    if read_key(windows, _SERVICING) is not None:
        reasons.append("component servicing")
    if read_key(windows, _UPDATE) is not None:
        reasons.append("Windows Update")
    manager = read_key(windows, _SESSION_MANAGER)
    if manager is not None and any(_has_texts(manager, name) for name in _RENAMES):
        reasons.append("files that are in use")
    names = read_keys(windows, _COMPUTER_NAME)
    active = find(names, rf"{_COMPUTER_NAME}\ActiveComputerName")
    stored = find(names, rf"{_COMPUTER_NAME}\ComputerName")
    if active and stored and active.text("ComputerName") != stored.text("ComputerName"):
        reasons.append("another computer name")
    return tuple(reasons)


def _has_texts(key: RegistryKey, name: str) -> bool:
    return bool(key.text(name).strip())
