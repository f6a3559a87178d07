"""The files of the package as they lie on a machine, the root in front."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from agent.config import AgentPackage
from agent.wire.codec import encode
from providers.agent_package import layout, runtime
from providers.agent_package.layout import PackageVersion
from providers.agent_package.runtime import Runtime


def make_tree(
    carried: Runtime,
    programs: tuple[str, ...],
    version: PackageVersion,
    package: AgentPackage,
    root: Path,
) -> None:
    """Write the whole tree below ``root``, which must not exist.

    ``programs`` are those of the runtime that shall use its libraries. Permissions and
    times are the same whoever builds. RW857 when a program cannot be changed.
    """
    folder = root / version.folder
    shutil.copytree(carried.root, folder, symlinks=True)
    runtime.use_carried_libraries(carried, programs, folder, f"/{version.folder}")
    (folder / layout.DESCRIPTION).write_bytes(encode(package) + b"\n")
    (root / layout.CURRENT).symlink_to(Path(version.folder).relative_to(layout.HOME))
    for name, text in (
        (f"{version.folder}/{layout.START}", layout.start_text(version)),
        (layout.LAUNCHER, layout.launcher_text()),
        (layout.UNIT_PATH, layout.packaged_unit_text()),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    for name in (f"{version.folder}/{layout.START}", layout.LAUNCHER):
        (root / name).chmod(0o755)
    _make_uniform(root, carried.epoch)


def paths_below(root: Path) -> Iterator[Path]:
    """Yield all that is below ``root`` in a fixed order, folders before their contents."""
    yield from sorted(root.rglob("*"), key=lambda path: path.relative_to(root).parts)


def _make_uniform(root: Path, epoch: int) -> None:
    for path in [root, *paths_below(root)]:
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode):
            is_executable = stat.S_ISDIR(mode) or mode & 0o111
            path.chmod(0o755 if is_executable else 0o644)
    for path in [*paths_below(root), root]:
        os.utime(path, (epoch, epoch), follow_symlinks=False)
