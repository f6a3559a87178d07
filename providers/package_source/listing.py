"""Which packages a repository's list has. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tuf.api.metadata import TargetFile

from providers.package_source.package_file import PACKAGE_FILE

_LONGEST_REASON = 1000


@dataclass(frozen=True)
class Listed:
    """A package of the repository. ``yanked`` is the reason; empty where it is offered."""

    name: str
    version: str
    sha256: str
    size: int
    yanked: str


def listed_packages(targets: Mapping[str, TargetFile]) -> Iterator[Listed]:
    """Yield the packages among the files of a list; others are passed over.

    A package's size is that of its ``package.json`` and of all files below its folder.
    """
    sizes: dict[str, int] = {}
    for path, file in targets.items():
        folder = "/".join(path.split("/")[:2])
        sizes[folder] = sizes.get(folder, 0) + file.length
    for path, file in targets.items():
        name, _, rest = path.partition("/")
        version, _, last = rest.partition("/")
        sha256 = file.hashes.get("sha256", "")
        if last == PACKAGE_FILE and name and version and sha256:
            yield Listed(name, version, sha256, sizes[f"{name}/{version}"], _yanked(file))


def _yanked(file: TargetFile) -> str:
    custom = file.custom
    said = custom.get("yanked") if isinstance(custom, dict) else None
    if said is None:
        return ""
    reason = said.get("reason") if isinstance(said, dict) else None
    text = reason if isinstance(reason, str) else ""
    shown = "".join(char for char in text if char.isprintable())[:_LONGEST_REASON]
    return shown or "no reason is given"
