"""Puts the root file system of the RAM system together from unpacked packages."""

import os
import shutil
from pathlib import Path

from agent.errors import TerminalError
from providers.deploy_os import depmod, elf, kernel_modules, target_programs
from providers.deploy_os.package_files import PackageFiles
from providers.deploy_os.recipe import Recipe
from providers.deploy_os.selection import select

AGENT_FOLDER = "usr/lib/rackwright"
"""Where the agent and the Python packages that it imports lie."""

_MODULES = "usr/lib/modules"
_FIRMWARE = "usr/lib/firmware"
_CFFI_BACKEND = ("zstandard/_cffi*", "zstandard/backend_cffi.py")
"""zstandard has two back ends; the other one is used here."""


def kernel_of(files: PackageFiles) -> str:
    """Return the version of the one kernel among the packages."""
    versions = {path.split("/")[3] for path in files if path.startswith(f"{_MODULES}/")}
    if len(versions) != 1:
        raise TerminalError(
            "RW854",
            f"the recipe's packages hold {len(versions)} kernels, not one: {sorted(versions)}",
            "Name exactly one kernel package in the recipe",
        )
    return versions.pop()


def assemble(recipe: Recipe, files: PackageFiles, root: Path, log: Path) -> int:
    """Fill ``root`` with all but our own files, the Python packages and byte code.

    Returns when the newest of the packages' files was made, in Unix seconds. RW854 when a
    pattern of the recipe matches nothing, RW857 when a command on the tree fails.
    """
    kernel = kernel_of(files)
    for directory in recipe.directories:
        (root / directory).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    files.copy(_chosen_files(recipe, files), root)
    files.copy(_chosen_modules(recipe, files, kernel), root)
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        files.copy([f"{_MODULES}/{kernel}/{name}"], root)
    newest = max(int(path.lstat().st_mtime) for path in root.rglob("*") if path.is_file())
    for path, target in recipe.links:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).symlink_to(target)
    _link_applets(root, log)
    depmod.write_indexes(root, kernel, log)
    return newest


def finish_python_packages(files: PackageFiles, root: Path) -> None:
    """Take away what the agent never imports, and add the libraries that the rest needs."""
    folder = root / AGENT_FOLDER
    for pattern in _CFFI_BACKEND:
        for path in folder.glob(pattern):
            path.unlink()
    for path in [*folder.rglob("*.pyi"), *folder.rglob("py.typed")]:
        path.unlink()
    for path in folder.glob("bin"):
        shutil.rmtree(path)
    needs: set[str] = set()
    for library in sorted(folder.rglob("*.so")):
        small = elf.without_sections(library.read_bytes())
        library.write_bytes(small)
        needs.update(files.libraries_of(small, library.name))
    files.copy((path for path in files.with_needs(needs) if not os.path.lexists(root / path)), root)


def _chosen_files(recipe: Recipe, files: PackageFiles) -> set[str]:
    chosen, idle = select(files, recipe.files)
    _refuse_idle(idle, "files")
    return files.with_needs(chosen)


def _chosen_modules(recipe: Recipe, files: PackageFiles, kernel: str) -> set[str]:
    base = f"{_MODULES}/{kernel}/kernel/"
    paths = [p.removeprefix(base) for p in files if p.startswith(base) and p.endswith(".ko")]
    chosen, idle = select(paths, recipe.modules)
    _refuse_idle(idle, "modules")
    modules = {p: kernel_modules.parse_modinfo(files.source(base + p).read_bytes()) for p in paths}
    builtin = files.source(f"{_MODULES}/{kernel}/modules.builtin").read_text("ascii").split()
    names = frozenset(map(kernel_modules.name_of, builtin))
    kept = kernel_modules.closure(chosen, modules, names)
    firmware = kernel_modules.firmware_of(
        kept, modules, lambda name: f"{_FIRMWARE}/{name}" in files
    )
    return files.with_needs(
        {base + path for path in kept} | {f"{_FIRMWARE}/{name}" for name in firmware}
    )


def _refuse_idle(idle: list[str], what: str) -> None:
    if idle:
        raise TerminalError(
            "RW854",
            f"the recipe names {what} that no package has: {', '.join(idle)}",
            "Correct the recipe: Debian has moved or dropped them",
        )


def _link_applets(root: Path, log: Path) -> None:
    """Give busybox's commands their names where no package brings a fuller one."""
    taken = {path.name for folder in ("bin", "sbin") for path in (root / "usr" / folder).iterdir()}
    for name in target_programs.applets(root, log):
        if name not in taken:
            (root / "usr/bin" / name).symlink_to("busybox")
