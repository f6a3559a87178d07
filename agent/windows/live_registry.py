"""Keys of the running Windows' registry."""

from agent.commands.windows import reg
from agent.commands.windows.host import Windows
from agent.errors import TerminalError
from agent.windows.registry import (
    HIVES,
    NOTHING,
    Keys,
    RegistryFormatError,
    RegistryKey,
    find,
    long_path,
    parse,
)

CURRENT_VERSION = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion"


def read_keys(windows: Windows, key: str, view: int = 64) -> Keys:
    """Return a key with all below it; nothing where there is no such key.

    TerminalError RW237 where the key has no hive that Windows knows, or what ``reg`` wrote is
    no registration file.
    """
    hive = long_path(key).partition("\\")[0]
    if hive not in HIVES.values():
        raise TerminalError(
            "RW237",
            f"the registry key {key} begins with {hive}, which is no hive",
            f"Begin it with {', '.join(HIVES)}",
        )
    data = reg.export(windows, key, view)
    if data is None:
        return NOTHING
    try:
        return parse(data)
    except RegistryFormatError as error:
        raise TerminalError(
            "RW237",
            f"the registry key {key} cannot be read: {error}",
            "Look at the key with reg query; report it with the key",
        ) from error


def read_key(windows: Windows, key: str, view: int = 64) -> RegistryKey | None:
    """Return one key; None where there is none. TerminalError RW237."""
    return find(read_keys(windows, key, view), key)
