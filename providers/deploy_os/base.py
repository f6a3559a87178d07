"""The base layer: everything but the agent. Slow to make, so it is kept by its digest."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from agent.errors import TerminalError
from providers.deploy_os import (
    command,
    depmod,
    initramfs,
    mmdebstrap,
    pip,
    root_tree,
    target_programs,
)
from providers.deploy_os.directory import replace_directory
from providers.deploy_os.package_files import PackageFiles
from providers.deploy_os.recipe import Recipe
from providers.deploy_os.selection import select

Progress = Callable[[str, float | None], None]
"""Called with what is being done and how far the build is, from 0 to 1."""

_KEPT_BASES = 3
_DESCRIPTION = "base.json"
_PLACES = ("root", "lock")
"""Fields of the recipe that say where something lies, which decides nothing."""

_LATER = ("agent_layer", "build", "result")
"""Modules of this package that work on a finished base."""


@dataclass(frozen=True, slots=True)
class Base:
    """A finished base layer: ``folder`` has ``root/``, ``boot/`` and ``base.img``."""

    folder: Path
    digest: str
    kernel: str
    epoch: int
    packages: dict[str, str]

    @property
    def root(self) -> Path:
        """The tree that ``image`` was made from."""
        return self.folder / "root"

    @property
    def image(self) -> Path:
        """The compressed archive."""
        return self.folder / "base.img"

    @property
    def boot_files(self) -> list[Path]:
        """The kernel and the boot loaders."""
        return sorted((self.folder / "boot").iterdir())


def digest_of(recipe: Recipe) -> str:
    """Return the digest of all that decides the base, but for what Debian publishes."""
    inputs = {
        "recipe": {key: value for key, value in asdict(recipe).items() if key not in _PLACES},
        "code": _digest_of_code(),
        "python": pip.extract(recipe.lock.read_text("utf-8"), recipe.distributions),
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _digest_of_code() -> str:
    """Return the digest of the modules that make the base, this one among them."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem not in _LATER:
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@contextmanager
def exclusive(cache: Path, progress: Progress) -> Iterator[None]:
    """Hold the cache for one build at a time; wait for another one's end."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another build", None)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cached(cache: Path, digest: str) -> Base | None:
    """Return the base with this digest, None when it is not in the cache."""
    folder = cache / f"base-{digest[:16]}"
    try:
        document = json.loads((folder / _DESCRIPTION).read_text("utf-8"))
    except OSError:
        return None
    os.utime(folder)
    return Base(folder=folder, **document)


def make(recipe: Recipe, digest: str, cache: Path, progress: Progress) -> Base:
    """Make the base layer in the cache. Errors: RW853 to RW858."""
    if os.geteuid() != 0:
        raise TerminalError(
            "RW858",
            "the Deploy-OS is built from Debian packages, which only root can unpack",
            "Run the build as root; the result can be used by any user",
        )
    command.require({**mmdebstrap.TOOLS, **depmod.TOOLS})
    work = cache / "work"
    shop = _Workshop(work / "packages", work / "base", cache / "build.log", progress)
    shutil.rmtree(work, ignore_errors=True)
    shop.root.mkdir(parents=True)
    shop.boot.mkdir()
    shop.log.unlink(missing_ok=True)
    unpacking = _scaled(progress, 0.0, 0.4)
    mmdebstrap.unpack(recipe, shop.unpacked, shop.log, unpacking)
    base = _assemble(recipe, digest, shop)
    shutil.rmtree(shop.unpacked)
    document = asdict(base)
    del document["folder"]
    (shop.base / _DESCRIPTION).write_text(json.dumps(document), "utf-8")
    place = cache / f"base-{digest[:16]}"
    replace_directory(shop.base, place)
    _forget_old_bases(cache)
    return replace(base, folder=place)


@dataclass(frozen=True, slots=True)
class _Workshop:
    """Where one base is made, and to whom that is told."""

    unpacked: Path
    base: Path
    log: Path
    progress: Progress

    @property
    def root(self) -> Path:
        return self.base / "root"

    @property
    def boot(self) -> Path:
        return self.base / "boot"


def _assemble(recipe: Recipe, digest: str, shop: _Workshop) -> Base:
    """Make the tree and the image from the unpacked packages."""
    archives = sorted((shop.unpacked / mmdebstrap.ARCHIVES).glob("*.deb"))
    packages = mmdebstrap.package_versions([path.name for path in archives])
    files = PackageFiles(shop.unpacked)
    shop.progress("choosing files, drivers and firmware", 0.42)
    epoch = root_tree.assemble(recipe, files, shop.root, shop.log)
    _copy_boot_files(recipe, files, shop.boot)
    shop.progress("unpacking Python packages", 0.5)
    _add_python_packages(recipe, files, shop)
    shop.progress("compressing the RAM disk", 0.6)
    entries = [
        initramfs.directory("."),
        *initramfs.entries_below(shop.root),
        initramfs.character_device("dev/console", 0o600, 5, 1),
        initramfs.character_device("dev/null", 0o666, 1, 3),
    ]
    base = Base(shop.base, digest, root_tree.kernel_of(files), epoch, packages)
    initramfs.write_image(entries, epoch, recipe.compression_level, base.image)
    return base


def _add_python_packages(recipe: Recipe, files: PackageFiles, shop: _Workshop) -> None:
    wanted = shop.base / "requirements.txt"
    wanted.write_text(pip.extract(recipe.lock.read_text("utf-8"), recipe.distributions), "utf-8")
    pip.unpack(wanted, shop.root / root_tree.AGENT_FOLDER, shop.log)
    root_tree.finish_python_packages(files, shop.root)
    # The agent's packages keep their sources: they are installed in restored systems,
    # whose Python may be another.
    for folder, keep in (
        (target_programs.STANDARD_LIBRARY, False),
        (root_tree.AGENT_FOLDER, True),
    ):
        target_programs.compile_modules(shop.root, shop.root, [folder], keep=keep, log=shop.log)


def _copy_boot_files(recipe: Recipe, files: PackageFiles, boot: Path) -> None:
    for name, pattern in recipe.boot_files:
        found, _ = select(files, [pattern])
        if len(found) != 1:
            raise TerminalError(
                "RW854",
                f"the recipe's boot file {name} is {pattern}, and the packages have "
                f"{len(found)} of them: {', '.join(sorted(found)) or 'none'}",
                "Correct the recipe: Debian has moved or dropped it",
            )
        shutil.copyfile(files.source(found.pop()), boot / name)


def _forget_old_bases(cache: Path) -> None:
    bases = sorted(cache.glob("base-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for folder in bases[_KEPT_BASES:]:
        shutil.rmtree(folder)


def _scaled(progress: Progress, start: float, end: float) -> Progress:
    """Return a callback whose 0 to 1 is ``start`` to ``end`` of ``progress``."""

    def report(text: str, fraction: float | None) -> None:
        progress(text, None if fraction is None else start + fraction * (end - start))

    return report
