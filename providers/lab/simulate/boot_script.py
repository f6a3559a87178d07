"""What an iPXE script makes iPXE do, for the few commands that Rackwright writes. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KernelBoot:
    """A kernel to start: ``files`` are URLs, the kernel's first."""

    command_line: str
    files: tuple[str, ...]


class ScriptError(ValueError):
    """The script has a command that no simulated iPXE knows."""


def read_script(text: str) -> KernelBoot | None:
    """Return the kernel that the script boots, None where it goes on to the local disk.

    Transfers are taken to succeed. Raises ScriptError.
    """
    lines = [line.strip() for line in text.splitlines()]
    if not lines or lines[0] != "#!ipxe":
        raise ScriptError("it does not begin with #!ipxe")
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
        elif command not in ("echo", ""):
            raise ScriptError(f"the command {command!r} is not known")
    return None
