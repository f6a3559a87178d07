"""mmdebstrap: a recipe becomes a root file system in a tar."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from providers.lab.command import NO_SPACE
from providers.lab.errors import command_failed, no_space, program_missing
from providers.lab.golden.recipe import Recipe

_PACKAGE = "mmdebstrap"
_SCRATCH = "build-"


def arguments(recipe: Recipe, overlay: Path, target: Path) -> list[str]:
    """Return the command line that builds ``recipe`` into the tar ``target``.

    It runs in namespaces of its own, so that a build that is killed leaves neither
    processes nor mounts.

    ``overlay`` goes in between the essential packages and the others, so that the
    kernel's initial RAM disk is already built with the recipe's configuration.
    """
    return [
        *("setpriv", "--pdeathsig", "KILL", "--", "unshare", "--fork", "--kill-child"),
        *("--pid", "--mount", "--mount-proc", "--", "mmdebstrap"),
        "--mode=root",
        "--variant=minbase",
        "--format=tar",
        f"--include={','.join(recipe.packages)}",
        '--aptopt=Apt::Install-Recommends "false"',
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in recipe.excluded_paths),
        f"--essential-hook=sync-in {overlay} /",
        recipe.suite,
        str(target),
        *recipe.sources,
    ]


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
    for left in tar.parent.glob(f"{_SCRATCH}*"):
        shutil.rmtree(left)
    partial = tar.with_name(f"partial-{tar.name}")  # mmdebstrap reads the format off the ending
    with tempfile.TemporaryDirectory(dir=tar.parent, prefix=_SCRATCH) as scratch:
        overlay = Path(scratch) / "overlay"
        overlay.mkdir(mode=0o755)  # becomes the mode of the root directory
        lay_out(recipe, overlay)
        status, log = _run(arguments(recipe, overlay, partial), scratch, progress)
    if status != 0:
        partial.unlink(missing_ok=True)
        if NO_SPACE in log:
            raise no_space(tar, NO_SPACE)
        raise command_failed("mmdebstrap", status, log)
    partial.rename(tar)


def _run(argv: list[str], scratch: str, progress: Callable[[str], None]) -> tuple[int, str]:
    if shutil.which("mmdebstrap") is None:
        raise program_missing("mmdebstrap", _PACKAGE)
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, "LC_ALL": "C", "TMPDIR": scratch},
        )
    except FileNotFoundError as error:
        raise program_missing(argv[0], "util-linux") from error
    log: list[str] = []
    with process:
        assert process.stderr is not None  # noqa: S101 - asked for above, tells mypy
        for line in process.stderr:
            log.append(line)
            if (text := progress_text(line)) is not None:
                progress(f"  {text}")
    return process.returncode, "".join(log)


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
