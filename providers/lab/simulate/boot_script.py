"""What an iPXE script makes iPXE do, for the few commands that Rackwright writes. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KernelBoot:
    """A kernel to start: ``files`` are URLs, the kernel's first."""

    command_line: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnotherScript:
    """A script to get from a URL, after a while."""

    url: str
    seconds: float


class ScriptError(ValueError):
    """The script has a command that no simulated iPXE knows."""


def read_script(text: str) -> KernelBoot | AnotherScript | None:
    """Return the kernel that the script boots, None where it goes on to the local disk.

    Or the script that it goes on with.

    Transfers are taken to succeed. Raises ScriptError.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or lines[0] != "#!ipxe":
        raise ScriptError("it does not begin with #!ipxe")
    another = _another(lines)
    if another is not None:
        return another
    files: list[str] = []
    command_line = ""
    for line in lines[1:]:
        command, _, rest = line.partition(" ")
        words = rest.partition(" ||")[0].split()
        if command == "kernel" and words:
            files.insert(0, words[0])
            command_line = " ".join(words[1:])
        elif command == "initrd" and words:
            files.append(words[-1])
        elif command == "boot":
            if not files:
                raise ScriptError("it boots no kernel")
            return KernelBoot(command_line, tuple(files))
        elif command == "exit":
            return None
        elif command not in ("echo", "sleep"):
            raise ScriptError(f"the command {command!r} is not known")
    return None


def _another(lines: list[str]) -> AnotherScript | None:
    """Return the script that one of a pause and ``chain`` alone goes on with."""
    seconds = 0.0
    for line in lines:
        command, *words = line.partition(" ||")[0].split()
        if command == "sleep" and words and words[0].isdecimal():
            seconds += float(words[0])
        elif command == "chain" and words:
            return AnotherScript(words[-1], seconds)
    return None
