"""Processes that share the files of a large fleet.

Each is asked twice: to read its files, then to compile their machines against what all
files together say of everything else. Between the two it keeps what it read.
"""

import os
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from reconciler.compiled.rows import (
    FileFacts,
    FileRows,
    Lines,
    encode_machines,
    hashed,
)
from specs.compile.context import CompileContext
from specs.compile.file import InvalidFileError, ReadFile, compile_file, read_file, read_sections
from specs.compile.fleet import CompiledContext, compile_context
from specs.yaml import Section

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

Others = Mapping[str, tuple[Lines, ...]]
"""By file, the documents that belong to the context."""
Files = Sequence[tuple[str, bytes]]

_MOST = 8
_BYTES_WORTH_A_PROCESS = 1 << 20
"""Bytes of YAML below which starting another process costs more than it saves."""


def compile_everything(files: Files, tables: Mapping[str, bytes]) -> dict[str, FileRows]:
    """Return the rows of all YAML files of a fleet; InvalidFileError where one is not valid."""
    parts = _parts(files, _process_count(sum(len(data) for _, data in files)))
    if len(parts) == 1:
        work = _work(files, tables)
        return dict(work.send(next(work)))
    with ExitStack() as stack:
        ends = [stack.enter_context(_process(part, tables)) for part in parts]
        others: dict[str, tuple[Lines, ...]] = {}
        for end in ends:
            others |= _answer(end)
        for end in ends:
            end.send(others)
        return {path: rows for end in ends for path, rows in _answer(end).items()}


def context_of(others: Others) -> CompiledContext:
    """Return what machines are compiled against; InvalidFileError where that is not valid."""
    sections = [Section(path, text, line) for path in sorted(others) for line, text in others[path]]
    return compile_context(read_sections(sections))


def others_of(read: ReadFile) -> tuple[Lines, ...]:
    """Return the documents of a file that belong to the context."""
    return tuple(Lines(each.first_line, each.text) for each in read.others)


def rows_of(read: ReadFile, context: CompileContext, tables: Mapping[str, bytes]) -> FileRows:
    """Return what is kept of a file; InvalidFileError where one of its machines has an error."""
    compiled = compile_file(read, context, tables)
    facts = FileFacts(
        others=others_of(read),
        keys=hashed(compiled.unique_keys),
        selected=compiled.selected,
        machine_count=len(compiled.machines),
        warnings=compiled.warnings,
    )
    return FileRows(facts, encode_machines(compiled.machines))


def _work(files: Files, tables: Mapping[str, bytes]) -> Generator[Any, Others, None]:
    """Yield what the files say of the context, get what all files say, and yield the rows."""
    read = {path: read_file(path, data) for path, data in files}
    others = yield {path: others_of(found) for path, found in read.items() if found.others}
    context = context_of(others).context
    yield {path: rows_of(found, context, tables) for path, found in read.items()}


@contextmanager
def _process(files: Files, tables: Mapping[str, bytes]) -> "Iterator[Connection]":
    """Start a process that does the work, and end it."""
    fork = get_context("fork")  # what is to be read need not be sent
    ours, theirs = fork.Pipe()
    process = fork.Process(target=_serve, args=(theirs, ours, files, tables), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.kill()
        process.join()


def _serve(
    connection: "Connection", other: "Connection", files: Files, tables: Mapping[str, bytes]
) -> None:
    other.close()
    work = _work(files, tables)
    try:
        connection.send(next(work))
        connection.send(work.send(connection.recv()))
    except InvalidFileError:
        connection.send(None)
    except (EOFError, OSError, KeyboardInterrupt):
        pass  # nobody asks any more
    except Exception:  # noqa: BLE001 - it is met again, and reported, where the whole is compiled
        connection.send(None)


def _answer(connection: "Connection") -> dict[str, Any]:
    """Return what a process says; InvalidFileError where it found one, or is gone."""
    try:
        answer: dict[str, Any] | None = connection.recv()
    except (EOFError, OSError) as error:
        raise InvalidFileError("a process ended before it answered") from error
    if answer is None:
        raise InvalidFileError("a file is not valid")
    return answer


def _process_count(size: int) -> int:
    if threading.active_count() > 1:
        return 1  # what other threads have locked would stay locked in a process that is forked
    return max(1, min(len(os.sched_getaffinity(0)), _MOST, size // _BYTES_WORTH_A_PROCESS))


def _parts(files: Files, count: int) -> list[Files]:
    """Return the files in as many runs of about equal size, or fewer."""
    size = sum(len(data) for _, data in files)
    parts: list[list[tuple[str, bytes]]] = [[]]
    filled = 0
    for file in files:
        if filled * count >= size * len(parts) and len(parts) < count:
            parts.append([])
        parts[-1].append(file)
        filled += len(file[1])
    return list(parts)
