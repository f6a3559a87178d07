"""Symbolic links inside a tree, followed by rules that hold in Git and on a disk. Pure."""

from collections.abc import Callable

from reconciler.errors import SourceError

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
        "Replace it by the file itself: a revision must say all by itself",
    )
