"""The agent layer: all files that are ours, laid over the base in seconds."""

import hashlib
import shutil
from pathlib import Path

from agent.errors import TerminalError
from providers.deploy_os import initramfs, root_tree, target_programs
from providers.deploy_os.base import Base
from providers.deploy_os.recipe import Recipe, digest_of_folder, source_files

_RELEASE = f"{root_tree.AGENT_FOLDER}/release"


def check_agent(agent_source: Path) -> None:
    """Refuse a folder that ``python3 -m agent`` could not start. RW860."""
    if not (agent_source / "__main__.py").is_file():
        raise TerminalError(
            "RW860",
            f"{agent_source} is not the agent: it has no __main__.py",
            "Name the folder of the agent package",
        )


def digest_of(agent_source: Path, recipe: Recipe) -> str:
    """Return the digest of all that decides the layer, but for the base."""
    parts = (digest_of_folder(agent_source), digest_of_folder(recipe.root))
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def write_layer(agent_source: Path, recipe: Recipe, base: Base, version: str, work: Path) -> Path:
    """Write init, settings and the agent with its byte code as an image in ``work``.

    Returns the image's path. RW857 when the agent does not compile with the Python of the
    RAM system.
    """
    tree = work / "own"
    shutil.rmtree(tree, ignore_errors=True)
    _copy(recipe.root, tree)
    _copy(agent_source, tree / root_tree.AGENT_FOLDER / "agent")
    target_programs.compile_modules(
        base.root, tree, [root_tree.AGENT_FOLDER], keep=True, log=work / "own.log"
    )
    release = f"VERSION={version}\nEPOCH={base.epoch}\n"
    (tree / _RELEASE).write_text(release, "ascii")
    image = work / "own.img"
    entries = initramfs.entries_below(tree)
    initramfs.write_image(entries, base.epoch, recipe.compression_level, image)
    return image


def _copy(source: Path, destination: Path) -> None:
    """Copy the files that a person wrote; scripts are executable, whatever they were."""
    for path in source_files(source):
        copy = destination / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes()
        copy.write_bytes(content)
        copy.chmod(0o755 if content.startswith(b"#!") else 0o644)
