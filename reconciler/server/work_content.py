"""What work on installed systems needs of files: made ready in the server's content store.

A plan and the ledger name files by their place in the repository or by their digest. When the
work is handed out, the agent is told what each is: owner, permissions, digest and size.
"""

import posixpath
from collections.abc import Callable, Iterator

from attrs import evolve

from agent.wire.agent_release import AgentRelease
from agent.wire.codec import encode
from agent.wire.files import PlacedFile, SourcePath, is_of_windows
from agent.wire.package import PackageFile, WantedPackage
from agent.wire.step import InstallPackages, PlaceFiles, Step, UpgradeAgent
from agent.wire.work import Work
from providers.agent_package.release import AgentReleases
from providers.content.store import ContentStore
from reconciler.errors import ReconcilerError
from reconciler.git.other_files import ReadFiles

_FOLDER_MODE = 0o755
_MODES = {False: 0o644, True: 0o755}
"""Of files that are not executable in the repository, and that are."""


class NotFetchedError(ReconcilerError):
    """A file of a package is not in the content store yet (RW283): it is being fetched."""

    def __init__(self, package: str, file: str) -> None:
        super().__init__(
            "RW283",
            f"the server has yet to fetch {file} of {package}",
            "See `rackwright status` for why it cannot, if it stays so",
        )


class SignedReleases:
    """The agent's releases, signed when they are handed out: by the key that signs then."""

    def __init__(self, releases: AgentReleases, sign: Callable[[bytes], bytes]) -> None:
        self._releases = releases
        self._sign = sign

    def find(self, version: str) -> AgentRelease:
        """Return the newest build of a version; TerminalError RW604 where there is none."""
        manifest = encode(self._releases.find(version))
        return AgentRelease(manifest.decode(), self._sign(manifest).hex())


class WorkContent:
    """Completes work with what the store and the repository have. Its methods may take long."""

    def __init__(
        self, store: ContentStore, read: ReadFiles, releases: SignedReleases | None = None
    ) -> None:
        self._store = store
        self._read = read
        self._releases = releases

    def complete(self, work: Work, revision: str) -> Work:
        """Return work as its agent can do it; ``revision`` is what it was planned from.

        Raises NotFetchedError for now, and for good SourceError (RW280 to RW282), ReconcilerError
        RW248, TerminalError RW604, or what the content store raises.
        """
        return evolve(work, steps=tuple(self._step(step, revision) for step in work.steps))

    def _step(self, step: Step, revision: str) -> Step:
        if isinstance(step, InstallPackages):
            return evolve(step, packages=tuple(map(self._package, step.packages)))
        if isinstance(step, PlaceFiles):
            files = [file for each in step.sources for file in self._files(each, revision)]
            for each in step.files:
                self._require(each)
            return evolve(step, sources=(), files=(*step.files, *files))
        if isinstance(step, UpgradeAgent) and self._releases is not None:
            return evolve(step, release=self._releases.find(step.version))
        return step

    def _require(self, file: PlacedFile) -> None:
        """Raise ReconcilerError RW248 where a file that a person gave to the server is gone."""
        if file.kind == "file" and not self._store.has(file.sha256):
            raise ReconcilerError(
                "RW248",
                f"the server does not have the content of {file.target} any more",
                "Give it again with `rackwright file put`",
            )

    def _package(self, package: WantedPackage) -> WantedPackage:
        return evolve(package, files=tuple(self._sized(package, file) for file in package.files))

    def _sized(self, package: WantedPackage, file: PackageFile) -> PackageFile:
        if not self._store.has(file.sha256):
            raise NotFetchedError(package.name, file.name)
        return evolve(file, size=self._store.size(file.sha256))

    def _files(self, source: SourcePath, revision: str) -> Iterator[PlacedFile]:
        """Yield what one place of the repository becomes, folders before what is in them."""
        found = self._read(revision, source.source)
        is_file = len(found) == 1 and not found[0].path
        folders = {
            posixpath.join(source.target, *each.path.split("/")[:depth])
            for each in found
            for depth in range(each.path.count("/") + 1)
        }
        for folder in sorted(folders) if not is_file else ():
            mode = 0 if is_of_windows(folder) else _FOLDER_MODE
            yield PlacedFile(folder, "folder", mode, source.owner, source.group)
        for each in found:
            own = 0 if is_of_windows(source.target) else _MODES[each.is_executable]
            mode = int(source.mode, 8) if source.mode else own
            yield PlacedFile(
                posixpath.join(source.target, each.path) if each.path else source.target,
                "file",
                mode,
                source.owner,
                source.group,
                self._store.put(each.content),
                len(each.content),
            )
