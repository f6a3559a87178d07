"""The carried runtime: Python, the C library, a few programs, and the agent. Kept by its digest."""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.errors import TerminalError
from providers.agent_package import archive, layout, start
from providers.agent_package.recipe import RuntimeRecipe
from providers.deploy_os import pip, root_tree, target_programs
from providers.deploy_os.directory import replace_directory
from providers.deploy_os.package_files import PackageFiles
from providers.deploy_os.recipe import digest_of_folder, find_recipe, lock_of, source_files
from providers.deploy_os.selection import select

_PATCHELF = "usr/bin/patchelf"
_NEWEST = "newest"
_KEPT = 2


@dataclass(frozen=True, slots=True)
class Runtime:
    """A finished runtime: ``root`` is the folder of a version, ``tools`` is not installed.

    ``epoch`` is when the newest file of its packages was made, in Unix seconds.
    """

    folder: Path
    epoch: int

    @property
    def root(self) -> Path:
        """What is installed, with programs that still name their usual loader."""
        return self.folder / "root"

    @property
    def tools(self) -> Path:
        """Programs of the build, with their libraries."""
        return self.folder / "tools"


def make_runtime(recipe: RuntimeRecipe, agent_source: Path, cache: Path) -> Runtime:
    """Return the runtime with this agent, from the cache or made anew.

    Errors: RW821, RW822, RW824 recipe and packages disagree, RW852 to RW857 as in the
    Deploy-OS, OSError.
    """
    requirements = pip.extract(lock_of(find_recipe()).read_text("utf-8"), recipe.distributions)
    digest = digest_of(recipe, requirements, agent_source)
    place = cache / f"runtime-{digest[:16]}"
    try:
        return Runtime(place, int((place / _NEWEST).read_text("ascii")))
    except (OSError, ValueError):
        pass
    archives = archive.fetch(recipe, cache / "packages")
    work = cache / "work"
    shutil.rmtree(work, ignore_errors=True)
    new = Runtime(work / "runtime", 0)
    archive.unpack(archives, work / "unpacked")
    (new.root / layout.AGENT_FOLDER).mkdir(parents=True)
    files = PackageFiles(work / "unpacked")
    files.copy(files.with_needs(_chosen(recipe, files)), new.root)
    files.copy(files.with_needs([_PATCHELF]), new.tools)
    newest = max(int(path.lstat().st_mtime) for path in new.root.rglob("*") if path.is_file())
    (new.folder / "requirements.txt").write_text(requirements, "utf-8")
    log = work / "build.log"
    pip.unpack(new.folder / "requirements.txt", new.root / layout.AGENT_FOLDER, log)
    root_tree.finish_python_packages(files, new.root)
    shutil.rmtree(new.root / "usr/lib64")  # the loader's usual name, a link out of here
    _copy_agent(agent_source, new.root)
    _compile(new.root, log)
    (new.folder / _NEWEST).write_text(str(newest), "ascii")
    shutil.rmtree(work / "unpacked")
    replace_directory(new.folder, place)
    _forget_old(cache)
    return Runtime(place, newest)


def use_carried_libraries(
    runtime: Runtime, programs: tuple[str, ...], folder: Path, installed: str
) -> None:
    """Have ``programs`` below ``folder`` use the loader and libraries beside them.

    ``installed`` is where the folder will be on a machine, an absolute path.
    DT_RPATH, not DT_RUNPATH: it also serves what libraries load, and no environment
    variable comes before it. It is absolute: the loader knows $ORIGIN only where /proc is.
    """
    for program in programs:
        target_programs.run_program(
            runtime.tools,
            [
                _PATCHELF,
                *("--set-interpreter", f"{installed}/{layout.LOADER}"),
                *("--force-rpath", "--set-rpath", f"{installed}/{layout.LIBRARIES}"),
                str(folder / program),
            ],
            runtime.folder / "build.log",
        )


def _chosen(recipe: RuntimeRecipe, files: PackageFiles) -> set[str]:
    chosen, idle = select(files, [*recipe.files, *recipe.programs])
    if idle:
        raise TerminalError(
            "RW824",
            f"the recipe names files that no package has: {', '.join(idle)}",
            "Correct the recipe: Debian has moved or dropped them",
        )
    return chosen


def _copy_agent(source: Path, root: Path) -> None:
    folder = root / layout.AGENT_FOLDER / "agent"
    for path in source_files(source):
        copy = folder / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    shutil.copyfile(start.__file__, root / layout.MAIN)


def _compile(root: Path, log: Path) -> None:
    """Make byte code; of the standard library nothing else stays."""
    for folder, keep in ((target_programs.STANDARD_LIBRARY, False), (layout.AGENT_FOLDER, True)):
        target_programs.compile_modules(root, root, [folder], keep=keep, log=log)


def digest_of(recipe: RuntimeRecipe, requirements: str, agent_source: Path) -> str:
    """Return the digest of all that decides the runtime, the code that makes it included."""
    inputs = {
        "recipe": {key: value for key, value in asdict(recipe).items() if key != "mirrors"},
        "python": requirements,
        "agent": digest_of_folder(agent_source),
        "code": digest_of_folder(Path(__file__).parent),
        "tree": digest_of_folder(Path(pip.__file__).parent),
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _forget_old(cache: Path) -> None:
    places = sorted(cache.glob("runtime-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for place in places[_KEPT:]:
        shutil.rmtree(place)
