"""Builds the Deploy-OS into a directory that the boot server serves."""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

from agent.errors import TerminalError
from providers.deploy_os import agent_layer, base, initramfs, result
from providers.deploy_os.base import Base, Progress
from providers.deploy_os.directory import replace_directory
from providers.deploy_os.recipe import Recipe, find_recipe, load_recipe
from providers.deploy_os.result import DeployOSBuild

RAM_DISK = "initrd.img"


def build(
    output: Path,
    cache: Path,
    progress: Progress,
    agent_source: Path,
    *,
    refresh: bool = False,
) -> DeployOSBuild:
    """Build the Deploy-OS and put it at ``output`` in one step; nothing to do is fast.

    ``cache`` keeps the base layer between builds; ``refresh`` makes it anew with the
    packages that Debian has now. ``agent_source`` is the folder of the agent package.

    Raises TerminalError: RW850 and RW851 no recipe, RW852 lock file, RW853 missing tool,
    RW854 recipe and packages disagree, RW855 mmdebstrap, RW856 pip, RW857 a command on the
    tree, RW858 not root, RW860 no agent, RW861 a disk that cannot be written.
    """
    agent_layer.check_agent(agent_source)
    recipe = load_recipe(find_recipe())
    digest = base.digest_of(recipe)
    try:
        with base.exclusive(cache, progress):
            layer = None if refresh else base.cached(cache, digest)
            if layer is None:
                layer = base.make(recipe, digest, cache, progress)
            version = version_of(layer, agent_layer.digest_of(agent_source, recipe))
            if (present := _present(output, version)) is not None:
                progress("nothing has changed", 1.0)
                return present
            progress("adding the agent", 0.95)
            image = agent_layer.write_layer(agent_source, recipe, layer, version, cache / "work")
            _publish(recipe, layer, image, version, output)
            progress("built", 1.0)
            return result.load(output)
    except OSError as error:
        raise TerminalError(
            "RW861",
            f"the Deploy-OS cannot be written: {error}",
            f"Make room and give access to {output.parent} and {cache}, then build again",
        ) from error


def version_of(layer: Base, own: str) -> str:
    """Return the digest of recipe, packages, and our own files, whose digest is ``own``."""
    inputs = {"recipe": layer.digest, "packages": layer.packages, "own": own}
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _present(output: Path, version: str) -> DeployOSBuild | None:
    """Return the build at ``output`` when it is of this version and complete."""
    try:
        present = result.load(output)
    except TerminalError:
        return None
    return present if present.version == version else None


def _publish(recipe: Recipe, layer: Base, image: Path, version: str, output: Path) -> None:
    """Put all files of a build at ``output`` in one step."""
    output.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    try:
        new.chmod(0o755)
        initramfs.join_images([layer.image, image], new / RAM_DISK)
        for source in layer.boot_files:
            shutil.copyfile(source, new / source.name)
        result.describe(new, recipe, version, layer.kernel, layer.packages)
        replace_directory(new, output)
    finally:
        shutil.rmtree(new, ignore_errors=True)
