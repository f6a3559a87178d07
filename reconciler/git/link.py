"""Symbolic links inside a tree, followed by rules that hold in Git and on a disk. Pure."""

from collections.abc import Callable
from pathlib import PurePosixPath

from reconciler.errors import SourceError
from specs.desired_state import is_hidden

_MOST_HOPS = 40  # as Linux: path_resolution(7)


def resolve_link(path: str, target_of: Callable[[str], str | None]) -> str:
    """Return the path in the tree that ``path`` leads to, itself no link.

    ``target_of`` gives the target text of a path that is a link, None of any other.
    Raises ``SourceError`` RW715 when the way leads out of the tree or in a circle.
    """
    done: list[str] = []
    todo = path.split("/")[::-1]
    hops = 0
    while todo:
        part = todo.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            if not done:
                raise _refused(path, "leads out of the tree")
            done.pop()
            continue
        target = target_of("/".join([*done, part]))
        if target is None:
            done.append(part)
            continue
        hops += 1
        if hops > _MOST_HOPS:
            raise _refused(path, "leads in a circle")
        if target.startswith("/"):
            raise _refused(path, "leads out of the tree")
        todo.extend(target.split("/")[::-1])
    return "/".join(done)


def refuse_link_to_folder(path: str, target_of: Callable[[str], str | None]) -> None:
    """Raise ``SourceError`` RW715 for a link to a folder whose files would be passed over.

    What is linked inside the tree is read where it is. Whether a link that leads out of it, or to
    something hidden, is one to a folder cannot be told of a commit: it is taken for one where its
    name has no suffix.
    """
    if is_hidden(path) or PurePosixPath(path).suffix:
        return
    target = resolve_link(path, target_of)
    if is_hidden(target):
        raise _refused(path, f"leads to {target}, which is hidden and not read")


def broken_link(path: str, target: str) -> SourceError:
    """Return the error for a link to ``target``, where the tree has no file."""
    return SourceError(
        "RW715",
        f"the symbolic link {path} leads to {target or 'the top folder'},"
        " which is no file of the tree",
        "Mend or remove the link",
    )


def _refused(path: str, reason: str) -> SourceError:
    return SourceError(
        "RW715",
        f"the symbolic link {path} {reason}",
        "Replace it by what it leads to: a revision must say all by itself",
    )
