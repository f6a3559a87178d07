"""Mirroring a repository: what its list offers is brought into the content store.

All or nothing for a package: it counts as mirrored once its description and all its files are
here. A mirror that breaks off or is killed goes on where it ended. What the repository does not
offer any more stays in the store until the caller sweeps it.
"""

import fcntl
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from tuf.api.metadata import TargetFile

from agent.errors import CodedError, UnwritableFileError
from providers.content.download import Wanted, download
from providers.content.errors import (
    ContentError,
    EndlessDataError,
    Failure,
    StatusError,
    TransferInUseError,
    WrongContentError,
)
from providers.content.store import ContentStore, total_missing
from providers.content.web import Login, Web
from providers.package_source.errors import UnreadableListError
from providers.package_source.listing import Listed, listed_packages
from providers.package_source.package_file import (
    MOST_BYTES,
    PACKAGE_FILE,
    InvalidPackageError,
    PackageFile,
    SourcedPackage,
    decode,
)
from providers.package_source.trusted_list import read_list
from specs.fleet import CompiledPackageSource

_LOCK = ".lock"
_BITS = 8
_OF_ONE_PACKAGE = (StatusError, WrongContentError, EndlessDataError, UnreadableListError)
"""Errors that say nothing about the source's other packages."""


@dataclass(frozen=True)
class MirroredPackage:
    """A package of the list: offered, yanked, or not complete here for a reason."""

    name: str
    version: str
    sha256: str
    """Of its ``package.json``."""
    files: tuple[PackageFile, ...] = ()
    """Known where it is offered."""
    yanked: str = ""
    problem: str = ""
    """Why it is not here, as an error says it; empty where it is."""


@dataclass
class MirrorResult:
    """What a mirror found. ``error`` is the first thing that went wrong, None where all is well.

    Without a trusted list ``packages`` is None: nothing is known of what is offered.
    """

    packages: list[MirroredPackage] | None = None
    received: int = 0
    """Bytes that were transferred."""
    error: CodedError | None = None
    failure: Failure | None = None
    """Of which class the error is, where it is none of content."""
    names: frozenset[str] = field(default_factory=frozenset)
    """The names in the list, of packages that an earlier source has too."""


def mirror(  # noqa: PLR0913 - where from, where to, and how
    source: CompiledPackageSource,
    store: ContentStore,
    folder: Path,
    now: datetime,
    *,
    login: Login | None = None,
    taken: Collection[str] = (),
    check: Callable[[], None] = lambda: None,
    web: Web | None = None,
) -> MirrorResult:
    """Mirror one source and say what became of it; raises only what ``check`` raises.

    ``folder`` keeps what was seen of the source, for this program alone. Packages of the names in
    ``taken`` belong to an earlier source: they are not mirrored. ``check`` is called at each
    piece and ends the mirror by raising.
    """
    result = MirrorResult()
    here = web or Web(
        source.url,
        proxy=source.proxy,
        login=login,
        max_rate=source.max_rate / _BITS if source.max_rate else None,
    )
    try:
        with locked_source(folder, source.name):
            _Mirror(source, store, here, result, check).run(folder, now, frozenset(taken))
    except (ContentError, UnwritableFileError) as error:
        result.error = error
    except OSError as error:  # python-tuf writes what it has seen by itself
        reason = error.strerror or str(error)
        result.error = UnwritableFileError(folder, reason, error.errno)
    finally:
        if web is None:
            here.close()
    return result


@contextmanager
def locked_source(folder: Path, name: str) -> Iterator[None]:
    """Hold a source's folder, which is made where it is missing; TransferInUseError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TransferInUseError(f"the package source {name}") from error
        yield
    finally:
        os.close(descriptor)


class _Mirror:
    def __init__(
        self,
        source: CompiledPackageSource,
        store: ContentStore,
        web: Web,
        result: MirrorResult,
        check: Callable[[], None],
    ) -> None:
        self._source = source
        self._store = store
        self._web = web
        self._result = result
        self._check = check

    def run(self, folder: Path, now: datetime, taken: frozenset[str]) -> None:
        """Read the list, then what it describes, then the files of all packages."""
        self._check()
        targets = read_list(self._source, self._web, folder, now)
        listed = list(listed_packages(targets))
        self._result.names = frozenset(each.name for each in listed)
        mine = [each for each in listed if each.name not in taken]
        packages = self._result.packages = [
            MirroredPackage(each.name, each.version, each.sha256, yanked=each.yanked)
            if each.yanked
            else MirroredPackage(each.name, each.version, each.sha256, problem="not mirrored yet")
            for each in mine
        ]
        described: dict[int, SourcedPackage] = {}
        for place, each in enumerate(mine):
            if not each.yanked:
                with self._of_one(packages, place):
                    described[place] = self._describe(each, targets)
        files = [file for each in described.values() for file in each.files]
        missing = total_missing(self._store, ((each.sha256, each.size) for each in files))
        if missing:
            self._store.require_room(missing, self._source.keep_free)
        for place, package in described.items():
            with self._of_one(packages, place):
                for path, file in package.targets.items():
                    self._fetch(path, file.sha256, file.size)
                packages[place] = MirroredPackage(
                    package.name, package.version, mine[place].sha256, package.files
                )

    @contextmanager
    def _of_one(self, packages: list[MirroredPackage], place: int) -> Iterator[None]:
        """Keep what is wrong with one package from ending the mirror."""
        known = packages[place]
        try:
            yield
        except _OF_ONE_PACKAGE as error:
            self._result.error = self._result.error or error
            problem = f"{error.code}: {error.cause}"
            packages[place] = MirroredPackage(
                known.name, known.version, known.sha256, problem=problem
            )

    def _describe(self, listed: Listed, targets: Mapping[str, TargetFile]) -> SourcedPackage:
        """Return a package by its description, which has to agree with the list."""
        path = f"{listed.name}/{listed.version}/{PACKAGE_FILE}"
        if targets[path].length > MOST_BYTES:
            raise EndlessDataError(path, MOST_BYTES)
        self._fetch(path, listed.sha256, targets[path].length)
        try:
            package = decode(self._store.read(listed.sha256, MOST_BYTES))
        except InvalidPackageError as error:
            raise UnreadableListError(self._source.name, path, str(error)) from error
        if (package.name, package.version) != (listed.name, listed.version):
            raise UnreadableListError(
                self._source.name, path, f"it describes {package.name} {package.version}"
            )
        for target, file in package.targets.items():
            said = targets.get(target)
            if said is None or (said.hashes.get("sha256"), said.length) != (file.sha256, file.size):
                raise UnreadableListError(
                    self._source.name, path, f"the list has another {file.name}, or none"
                )
        return package

    def _fetch(self, path: str, sha256: str, size: int) -> None:
        folder, _, name = path.rpartition("/")
        place = quote(f"{folder}/{sha256}.{name}", safe="/+~:@!$&'()*,;=")
        url = f"{self._source.url.rstrip('/')}/targets/{place}"
        download(
            self._web,
            Wanted(url, sha256, size),
            self._store,
            keep_free=self._source.keep_free,
            check=self._check,
            progress=self._received,
        )

    def _received(self, size: int) -> None:
        self._result.received += size
