"""A recipe becomes a root file system in a tar, once, and is kept."""

import fcntl
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from providers.deploy_os import mmdebstrap
from providers.lab.command import follow
from providers.lab.errors import program_missing
from providers.lab.golden.recipe import Recipe

_SCRATCH = "build-"


def progress_text(line: str) -> str | None:
    """Return what a line of mmdebstrap's log says about progress, or None.

    Its messages start with ``I:``; all else is the output of dpkg and apt.
    """
    return line[2:].strip() if line.startswith("I:") else None


def root_tar(recipe: Recipe, cache: Path, progress: Callable[[str], None]) -> Path:
    """Return the tar of ``recipe`` in the directory ``cache``, building it where it is not yet.

    The first build takes about a minute and the network. Two callers at a time build
    once. RW801, RW808 and RW809 as every command.
    """
    cache.mkdir(parents=True, exist_ok=True)
    tar = cache / f"debian-{recipe.suite}-{recipe.digest}.tar"
    with (cache / f"{tar.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tar.exists():
            progress(f"building Debian {recipe.suite} from packages (once, then cached)")
            _build(recipe, tar, progress)
    return tar


def _build(recipe: Recipe, tar: Path, progress: Callable[[str], None]) -> None:
    if shutil.which("mmdebstrap") is None:  # setpriv, which starts it, could not tell
        raise program_missing("mmdebstrap", "mmdebstrap")
    for left in tar.parent.glob(f"{_SCRATCH}*"):
        shutil.rmtree(left)
    partial = tar.with_name(f"partial-{tar.name}")  # mmdebstrap reads the format off the ending
    try:
        with tempfile.TemporaryDirectory(dir=tar.parent, prefix=_SCRATCH) as name:
            scratch = Path(name)
            overlay = scratch / "overlay"
            overlay.mkdir(mode=0o755)  # becomes the mode of the root directory
            lay_out(recipe, overlay)
            argv = mmdebstrap.tar_arguments(
                recipe.suite,
                partial,
                packages=recipe.packages,
                excluded_paths=recipe.excluded_paths,
                overlay=overlay,
                sources=recipe.sources,
            )
            follow(argv, _progress_of(progress), package="util-linux", writes=tar, scratch=scratch)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.rename(tar)


def _progress_of(progress: Callable[[str], None]) -> Callable[[str], None]:
    def on_line(line: str) -> None:
        if (text := progress_text(line)) is not None:
            progress(f"  {text}")

    return on_line


def lay_out(recipe: Recipe, directory: Path) -> None:
    """Write the recipe's files and links below ``directory``."""
    for path, content in recipe.files.items():
        file = directory / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(0o755 if content.startswith("#!") else 0o644)
    for path, target in recipe.links.items():
        link = directory / path.lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
