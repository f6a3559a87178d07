"""What a build has made, as ``deploy-os.json`` in its directory says it."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.errors import TerminalError
from agent.whole_file import write_atomically
from providers.deploy_os.recipe import Recipe

DESCRIPTION = "deploy-os.json"
_ACTION = "Build it: rackwright deploy-os build"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class DeployOSBuild:
    """One build of the Deploy-OS.

    ``directory`` holds ``vmlinuz``, ``initrd.img``, the boot loaders and this description.
    ``version`` is a digest of recipe, package versions and agent; equal versions are the
    same system. ``packages`` maps Debian package names to versions, ``sizes`` (bytes) and
    ``digests`` (SHA-256) have each file of the directory.
    """

    directory: Path
    version: str
    debian: str
    kernel: str
    kernel_arguments: tuple[str, ...]
    packages: dict[str, str]
    sizes: dict[str, int]
    digests: dict[str, str]


def describe(
    directory: Path, recipe: Recipe, version: str, kernel: str, packages: dict[str, str]
) -> DeployOSBuild:
    """Measure the files in ``directory``, write the description next to them, return it."""
    files = sorted(path for path in directory.iterdir() if path.name != DESCRIPTION)
    build = DeployOSBuild(
        directory=directory,
        version=version,
        debian=recipe.suite,
        kernel=kernel,
        kernel_arguments=recipe.kernel_arguments,
        packages=dict(sorted(packages.items())),
        sizes={path.name: path.stat().st_size for path in files},
        digests={path.name: _sha256(path) for path in files},
    )
    document = asdict(build)
    del document["directory"]
    write_atomically(directory / DESCRIPTION, json.dumps(document, indent=2).encode() + b"\n")
    return build


def load(directory: Path) -> DeployOSBuild:
    """Return the build in ``directory``. RW859 when there is none or it is damaged."""
    try:
        document = json.loads((directory / DESCRIPTION).read_text("utf-8"))
        document["kernel_arguments"] = tuple(document["kernel_arguments"])
        build = DeployOSBuild(directory=directory, **document)
        damaged = [
            name for name, size in build.sizes.items() if (directory / name).stat().st_size != size
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise TerminalError(
            "RW859",
            f"{directory} holds no complete Deploy-OS: {error}",
            _ACTION,
        ) from error
    if damaged:
        raise TerminalError(
            "RW859",
            f"{directory} holds no complete Deploy-OS: of another size than it was built with: "
            f"{', '.join(damaged)}",
            _ACTION,
        )
    return build


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
