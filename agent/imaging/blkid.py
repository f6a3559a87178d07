"""blkid: what a range of a disk holds."""

import subprocess

from attrs import frozen

from agent.imaging.errors import ToolError

_NOTHING = 2
_AMBIVALENT = 8


@frozen
class Signature:
    """What was recognised. ``type`` is empty where nothing was.

    ``ambivalent`` means that signatures of more than one use were found.
    """

    type: str = ""
    label: str = ""
    ambivalent: bool = False


def arguments(node: str, offset: int, size: int) -> list[str]:
    """Return the command that probes ``size`` bytes from ``offset`` of ``node``, uncached."""
    return ["blkid", "-p", "-o", "export", "-O", str(offset), "-S", str(size), node]


def probe(node: str, offset: int, size: int) -> Signature:
    """Return what the range holds. Raises ToolError when blkid cannot say."""
    try:
        done = subprocess.run(
            arguments(node, offset, size),
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env={"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
    except FileNotFoundError as error:
        raise ToolError("blkid", "is not installed") from error
    if done.returncode == _NOTHING:
        return Signature()
    if done.returncode == _AMBIVALENT:
        return Signature(ambivalent=True)
    if done.returncode != 0:
        raise ToolError("blkid", f"failed: {done.stderr.decode(errors='replace').strip()}")
    return parse(done.stdout)


def parse(output: bytes) -> Signature:
    """Return what the ``-o export`` form says. Unprintable characters become ``?``."""
    values: dict[str, str] = {}
    for line in output.decode(errors="replace").splitlines():
        key, separator, value = line.partition("=")
        if separator:
            values[key] = "".join(c if c.isprintable() else "?" for c in _unescaped(value))
    return Signature(type=values.get("TYPE", ""), label=values.get("LABEL", "")[:200])


def _unescaped(value: str) -> str:
    """Undo the shell quoting of special characters in the export form."""
    characters = iter(value)
    return "".join(next(characters, "") if c == "\\" else c for c in characters)
