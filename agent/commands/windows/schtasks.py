"""schtasks.exe: the task scheduler, for work that outlives the agent.

Source: Microsoft, "schtasks commands"; "Task Scheduler Schema". A task is made from XML: the
options for dates take the form of the machine's language.
"""

from agent.commands.windows.host import Windows
from agent.errors import CommandError


def create_arguments(name: str, file: str) -> list[str]:
    """Return the command that makes a task from its XML, in place of one of that name."""
    return ["schtasks.exe", "/create", "/tn", name, "/xml", file, "/f"]


def query_arguments(name: str) -> list[str]:
    """Return the command that prints a task's XML; 1 where there is no such task."""
    return ["schtasks.exe", "/query", "/tn", name, "/xml"]


def run_arguments(name: str) -> list[str]:
    """Return the command that starts a task now and does not wait for it."""
    return ["schtasks.exe", "/run", "/tn", name]


def delete_arguments(name: str) -> list[str]:
    """Return the command that deletes a task; it does not end what it started."""
    return ["schtasks.exe", "/delete", "/tn", name, "/f"]


def create(windows: Windows, name: str, definition: bytes) -> None:
    """Make a task from its XML (UTF-16); CommandError RW565 where that fails."""
    file = windows.scratch / "task.xml"
    file.write_bytes(definition)
    try:
        _run(windows, create_arguments(name, windows.native(file)))
    finally:
        file.unlink(missing_ok=True)


def query(windows: Windows, name: str) -> bytes | None:
    """Return a task's XML as it was printed; None where there is no such task."""
    done = windows.run(query_arguments(name))
    return done.stdout if done.status == 0 else None


def start(windows: Windows, name: str) -> None:
    """Start a task now; CommandError RW565 where that fails."""
    _run(windows, run_arguments(name))


def delete(windows: Windows, name: str) -> bool:
    """Delete a task; return whether there was one."""
    return windows.run(delete_arguments(name)).status == 0


def _run(windows: Windows, argv: list[str]) -> None:
    done = windows.run(argv)
    if done.status != 0:
        raise CommandError(argv[:4], f"ended with status {done.status}", done.stderr, done.status)
