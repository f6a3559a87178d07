"""Builds one package of the agent."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.config import AgentPackage
from agent.errors import TerminalError
from providers.agent_package import deb, layout, msi, rpm, tar
from providers.agent_package.layout import PackageVersion
from providers.agent_package.recipe import load_recipe
from providers.agent_package.runtime import make_runtime
from providers.agent_package.tree import make_tree
from providers.agent_package.windows_tree import make_windows_tree
from providers.deploy_os.base import Progress, exclusive

Writer = Callable[[Path, PackageVersion, int, Path], Path]

FORMATS: dict[str, Writer] = {
    "deb": deb.write,
    "rpm": rpm.write,
    "tar": tar.write,
    "msi": msi.write,
}
"""How each form of package is written."""


@dataclass(frozen=True, slots=True)
class PackageOrder:
    """What shall be built: the form, which build of this version, for which server if any."""

    form: str
    revision: int = 1
    server: str = ""
    pin: str = ""


def build(
    order: PackageOrder, output: Path, cache: Path, agent_source: Path, progress: Progress
) -> Path:
    """Build the package into the folder ``output`` and return its path. Needs no root.

    ``cache`` keeps Debian's packages and the runtime, and Python for Windows. Equal sources, locks
    and orders give equal bytes, but for an msi. Raises TerminalError: RW820 recipe and lock, RW821
    a package cannot be fetched, RW822 a tool is missing, RW823 revision, RW824 recipe and packages
    disagree, RW825 nothing can be written, RW826 rpmbuild or wixl, RW852 to RW857 as in
    the Deploy-OS.
    """
    version = layout.version_of(order.revision)
    cache = cache.absolute()  # rpmbuild changes its folder
    package = AgentPackage(str(version), order.server, order.pin)
    try:
        with exclusive(cache, progress):
            work = cache / "work"
            if order.form == "msi":
                progress("putting files in place", 0.1)
                _empty(work)
                epoch = 0
                make_windows_tree(cache, agent_source, package, work / "root")
            else:
                epoch = _make_linux_tree(agent_source, cache, version, package, progress)
            progress("compressing the package", 0.6)
            made = FORMATS[order.form](work / "root", version, epoch, work)
            output.mkdir(parents=True, exist_ok=True)
            whole = output / f".{made.name}.new"
            shutil.copyfile(made, whole)
            whole.replace(output / made.name)
            shutil.rmtree(work)
            progress("built", 1.0)
    except OSError as error:
        raise TerminalError(
            "RW825",
            f"the agent's package cannot be written: {error}",
            f"Make room and give access to {output} and {cache}, then build again",
        ) from error
    return output / made.name


def _make_linux_tree(
    agent_source: Path,
    cache: Path,
    version: PackageVersion,
    package: AgentPackage,
    progress: Progress,
) -> int:
    """Make the tree with its runtime in the work folder; return the time of its newest file."""
    progress("making the runtime", 0.1)
    recipe = load_recipe()
    carried = make_runtime(recipe, agent_source, cache)
    _empty(cache / "work")
    progress("putting files in place", 0.5)
    make_tree(carried, recipe.programs, version, package, cache / "work/root")
    return carried.epoch


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
