"""Releases of the agent in the server's stores: what machines that have an agent upgrade to.

A release is the package as a tar (``tar.py``). Its archive is in the content store, from which
agents fetch it; its manifest, which is what gets signed, in a folder, named by the version.
"""

import hashlib
import json
import tarfile
import zlib
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from agent.errors import TerminalError
from agent.upgrade import places
from agent.upgrade.places import serves, version_order
from agent.whole_file import create_atomically, sync_folder
from agent.wire.agent_release import ARCHITECTURE, ReleaseFile, ReleaseManifest
from agent.wire.codec import WireError, decode, encode
from providers.agent_package import layout
from providers.content.store import KEEP_FREE, ContentStore

_PIECE = 1 << 20
_MOST_BYTES = 1 << 30
_LONGEST_DESCRIPTION = 10_000
_SUFFIX = ".json"
_UNREADABLE = (
    OSError,
    tarfile.TarError,
    zlib.error,  # tarfile raises it for a file, though not for what lies between two
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    RecursionError,  # JSON of a thousand brackets
)


def version_in(archive: Path) -> str:
    """Return the version of the agent in an archive; TerminalError RW610 for another one."""
    try:
        with tarfile.open(archive, "r:gz") as packed:
            return _version(packed)
    except _UNREADABLE as error:
        raise _no_release(archive, str(error)) from error


def _version(packed: tarfile.TarFile) -> str:
    """Return the one version that an archive has whole; ValueError, KeyError, TypeError."""
    names, said = set(), {}
    for member in packed:
        path = PurePosixPath(member.name)
        names.add(path.as_posix())
        if path.name == PurePosixPath(layout.DESCRIPTION).name and member.isreg():
            content = packed.extractfile(member)
            if content is not None:
                with content:
                    text = content.read(_LONGEST_DESCRIPTION)
                said[path.as_posix()] = str(json.loads(text)["version"])
    if len(said) != 1:
        raise ValueError(f"it has {len(said)} descriptions of a package")
    ((place, version),) = said.items()
    folder = f"{layout.HOME}/{places.VERSIONS}/{version}"
    _, revision = version_order(version)
    if not revision or place != f"{folder}/{layout.DESCRIPTION}":
        raise ValueError(f"it says that it is {version}, and has that in {place}")
    if f"{folder}/{layout.START}" not in names:
        raise ValueError(f"{version} has no {layout.START}: it is older than upgrades are")
    return version


class AgentReleases:
    """The releases that a server has; ``folder`` has their manifests."""

    def __init__(self, folder: Path, store: ContentStore) -> None:
        self._folder = folder
        self._store = store

    def add(self, archive: Path) -> ReleaseManifest:
        """Take in what ``rackwright agent package --format tar`` made; return its manifest.

        A version that is there already keeps its content. TerminalError RW610 where the file is no
        release, or another one of that version is there; what the content store raises;
        UnwritableFileError RW572.
        """
        version = version_in(archive)
        sha256, size = _measured(archive)
        self._require_same(archive, version, sha256)
        with self._store.transfer(sha256, KEEP_FREE) as transfer, archive.open("rb") as file:
            if transfer is not None:
                transfer.restart()
                for piece in iter(lambda: file.read(_PIECE), b""):
                    transfer.append(piece)
                transfer.finish(str(archive))
        name = f"{layout.NAME}-{version}-linux-{ARCHITECTURE}.tar.gz"
        manifest = ReleaseManifest(version, ARCHITECTURE, (ReleaseFile(name, sha256, size),))
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not create_atomically(self._path(version), encode(manifest) + b"\n", 0o600):
            self._require_same(archive, version, sha256)  # it came meanwhile
        return manifest

    def remove(self, version: str) -> None:
        """Hand a release out no longer; TerminalError RW604 where there is none of this version.

        Its archive goes with the content that nothing names. Machines that have it keep it.
        """
        if not any(each.version == version for each in self.all()):
            raise TerminalError(
                "RW604",
                f"the server has no release {version} of the agent",
                "See `rackwright agent release ls`",
            )
        self._path(version).unlink(missing_ok=True)
        sync_folder(self._folder)

    def _require_same(self, archive: Path, version: str, sha256: str) -> None:
        """Refuse another archive of a version that is there."""
        known = next((each for each in self.all() if each.version == version), None)
        if known is not None and known.files[0].sha256 != sha256:
            raise _no_release(
                archive,
                f"the server has another release {version}: build this one with a greater "
                "--revision",
            )

    def _path(self, version: str) -> Path:
        return self._folder / f"{version}{_SUFFIX}"

    def all(self) -> list[ReleaseManifest]:
        """Return the releases, the newest first; what cannot be read is none."""
        found = []
        for path in self._folder.glob(f"*{_SUFFIX}") if self._folder.is_dir() else ():
            try:
                manifest = decode(ReleaseManifest, path.read_bytes())
            except (OSError, WireError):
                continue
            if path.stem == manifest.version:
                found.append(manifest)
        return sorted(found, key=lambda each: version_order(each.version), reverse=True)

    def added_at(self, version: str) -> datetime:
        """Return when a release was added. OSError where there is none."""
        stamp = self._path(version).stat().st_mtime
        return datetime.fromtimestamp(stamp, UTC)

    def named_content(self) -> frozenset[str]:
        """Return the checksums of all files of releases, which the content store has to keep."""
        return frozenset(file.sha256 for each in self.all() for file in each.files)

    def find(self, wanted: str) -> ReleaseManifest:
        """Return the newest build of exactly this version; the very build where one is named.

        TerminalError RW604 where there is none, or its content is gone.
        """
        order = version_order(wanted)
        for each in self.all():
            numbers, _ = version_order(each.version)
            if numbers == order[0] and serves(each.version, wanted):
                if self._store.has(each.files[0].sha256):
                    return each
                break
        raise TerminalError(
            "RW604",
            f"the server has no release {wanted} of the agent",
            "Add it: `rackwright agent package --format tar`, then `rackwright agent release add "
            "FILE`",
        )


def _measured(archive: Path) -> tuple[str, int]:
    try:
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            size = file.tell()
    except OSError as error:
        raise _no_release(archive, error.strerror or str(error)) from error
    if size > _MOST_BYTES:
        raise _no_release(archive, f"it has {size} bytes")
    return digest.hexdigest(), size


def _no_release(archive: Path, reason: str) -> TerminalError:
    return TerminalError(
        "RW610",
        f"{archive} is no release of the agent: {reason}",
        "Build one: `rackwright agent package --format tar`",
    )
