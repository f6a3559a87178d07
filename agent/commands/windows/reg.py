r"""reg.exe: the registry.

Reads by ``reg export``: its files are UTF-16 and lose nothing, where ``reg query`` prints
the OEM code page. ``view`` is 64 or 32, for the two views that a 64-bit Windows has of
``HKLM\Software``. Source: Microsoft, "reg" (Windows Commands).
"""

from secrets import token_hex

from agent.commands.windows.host import SECONDS, Windows, console_text
from agent.errors import CommandError

VIEWS = (64, 32)
MOST_BYTES = 256 << 20


def export_arguments(key: str, file: str, view: int) -> list[str]:
    """Return the command that writes a key with all below it to a file."""
    return ["reg.exe", "export", key, file, "/y", f"/reg:{view}"]


def add_arguments(key: str, name: str, kind: str, data: str, view: int) -> list[str]:
    """Return the command that sets a value; ``kind`` is for example ``REG_SZ``."""
    named = ["/v", name] if name else ["/ve"]
    return ["reg.exe", "add", key, *named, "/t", kind, "/d", data, "/f", f"/reg:{view}"]


def delete_arguments(key: str, view: int) -> list[str]:
    """Return the command that deletes a key with all below it."""
    return ["reg.exe", "delete", key, "/f", f"/reg:{view}"]


def names_arguments(key: str) -> list[str]:
    """Return the command that prints the keys right below one."""
    return ["reg.exe", "query", key]


def export(windows: Windows, key: str, view: int) -> bytes | None:
    """Return a key with all below it as a registration file; None where there is no such key.

    ``reg`` ends with 1 also where the key may not be read, which the system's own account
    always may. CommandError RW565 where the file is larger than MOST_BYTES.
    """
    file = windows.scratch / f"registry-{token_hex(8)}.reg"
    argv = export_arguments(key, windows.native(file), view)
    try:
        if windows.run(argv, timeout=SECONDS).status != 0:
            return None
        size = file.stat().st_size
        if size > MOST_BYTES:
            raise CommandError(argv, f"wrote {size} bytes, more than {MOST_BYTES}", "")
        return file.read_bytes()
    except OSError as error:
        raise CommandError(argv, "wrote a file that cannot be read", str(error)) from error
    finally:
        file.unlink(missing_ok=True)


def add(  # noqa: PLR0913 - a value is that
    windows: Windows, key: str, name: str, kind: str, data: str, *, view: int = 64
) -> None:
    """Set a value; CommandError RW565 where that fails."""
    argv = add_arguments(key, name, kind, data, view)
    done = windows.run(argv)
    if done.status != 0:
        raise CommandError(argv[:3], f"ended with status {done.status}", done.stderr, done.status)


def delete(windows: Windows, key: str, view: int = 64) -> bool:
    """Delete a key with all below it; return whether there was one that could be deleted."""
    return windows.run(delete_arguments(key, view)).status == 0


def users(windows: Windows) -> tuple[str, ...]:
    """Return the security identifiers of the accounts whose part of the registry is loaded."""
    lines = console_text(windows.run(names_arguments("HKU")).stdout).splitlines()
    names = (line.strip().rpartition("\\")[2] for line in lines)
    return tuple(
        name for name in names if name.startswith("S-1-5-21-") and not name.endswith("_Classes")
    )
