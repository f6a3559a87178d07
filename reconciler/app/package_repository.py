"""Making and signing package repositories: where keys come from, and what is made of them.

Keys are files ``ROLE.pem`` in a private folder that is not part of what is published, other
files, or references to secrets.
"""

import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from securesystemslib.signer import CryptoSigner, Key

from providers.content.download import Wanted, download
from providers.content.store import ContentStore
from providers.content.web import Web
from providers.package_source.bundle import Bundle, build
from providers.package_source.errors import RepositoryError, SigningKeyError
from providers.package_source.keys import new_key, public_key, public_text, signer_of
from providers.package_source.repository import LIFETIMES, ROLES, Repository
from reconciler.trust.private_directory import PrivateDirectory
from reconciler.trust.secrets import Secrets, read_private
from specs.kinds.source_file import SourceFile

SECRET = "secret:"  # noqa: S105 - how a reference to one begins
_SUFFIX = ".pem"


class NewRepository(NamedTuple):
    """A repository and the keys that documents name as its signers."""

    repository: Repository
    signers: tuple[str, ...]


def default_keys(repository: Path) -> Path:
    """Return the folder of a repository's keys: beside it, and never in what is published."""
    return repository.with_name(f"{repository.name}.keys")


def create(  # noqa: PLR0913 - what a repository begins with
    folder: Path,
    keys: Path,
    *,
    threshold: int,
    root_keys: Iterable[str],
    lifetimes: Mapping[str, timedelta],
    now: datetime,
) -> NewRepository:
    """Make a repository; keys that are missing in the folder ``keys`` are made, for each role one.

    ``root_keys`` are the public keys of further people who sign for the root. Raises
    PackageSourceError, TrustError.
    """
    _refuse_published(folder, keys)
    private = PrivateDirectory(keys)
    signers = {}
    for role in ROLES:
        private.create(f"{role}{_SUFFIX}", new_key())
        signers[role] = _signer_in(keys / f"{role}{_SUFFIX}")
    public: dict[str, list[Key]] = {role: [each.public_key] for role, each in signers.items()}
    for text in root_keys:
        key = public_key(text)
        if key.keyid not in {each.keyid for each in public["root"]}:
            public["root"].append(key)
    made = Repository.create(
        folder, public, threshold, signers.values(), now, {**LIFETIMES, **lifetimes}
    )
    return NewRepository(made, tuple(public_text(key) for key in public["root"]))


def opened(
    folder: Path, keys: Path, named: Iterable[str], secrets: Secrets, now: datetime
) -> Repository:
    """Return a repository that signs with the keys of a folder, if it is there, and with ``named``.

    Each of these is a file, or ``secret:NAME``. Raises SigningKeyError, SecretError.
    """
    return Repository(folder, list(_signers(keys, named, secrets)), now)


def refresh(repository: Repository, keys: Path, rotate: Collection[str], *, root: bool) -> None:
    """Renew what expires; roles of ``rotate`` get a new key, whose file replaces the old one's.

    The new files are written before the repository names them; the old keys stay beside them.
    """
    new_keys = {}
    private = PrivateDirectory(keys) if rotate else None
    for role in rotate:
        assert private is not None  # noqa: S101 - there is a role
        pem, old = new_key(), private.read(f"{role}{_SUFFIX}")
        signer = signer_of(pem, f"the new key of {role}")
        if old is not None:
            private.create(f"{role}-before-{signer.public_key.keyid[:8]}{_SUFFIX}", old)
        private.replace(f"{role}{_SUFFIX}", pem)
        repository.add_signer(signer)
        new_keys[role] = signer.public_key
    repository.refresh(root=root, rotate=rotate, new_keys=new_keys)


def build_all(sources: Iterable[Path], output: Path) -> list[Bundle]:
    """Build bundles of all Package documents in files and folders; raises ContentError."""
    with _fetching() as fetch:
        return [bundle for source in sources for bundle in build(source, output, fetch)]


class _Fetcher:
    """Fetches files of the web into a store of its own."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store
        self._web = Web()

    def __call__(self, file: SourceFile) -> Path:
        download(self._web, Wanted(file.url, file.sha256), self._store, keep_free=0)
        return self._store.path(file.sha256)

    def close(self) -> None:
        self._web.close()


@contextmanager
def _fetching() -> Iterator[_Fetcher]:
    with tempfile.TemporaryDirectory(prefix="rackwright-package-") as folder:
        fetcher = _Fetcher(ContentStore(Path(folder)))
        try:
            yield fetcher
        finally:
            fetcher.close()


def _signers(keys: Path, named: Iterable[str], secrets: Secrets) -> Iterator[CryptoSigner]:
    if keys.is_dir():
        PrivateDirectory(keys)
        for path in sorted(keys.glob(f"*{_SUFFIX}")):
            yield _signer_in(path)
    for name in named:
        if name.startswith(SECRET):
            found = secrets.resolve(name.removeprefix(SECRET))
            yield signer_of(found.value.encode(), str(found))
        else:
            yield _signer_in(Path(name))


def _signer_in(path: Path) -> CryptoSigner:
    pem = read_private(path)
    if pem is None:
        raise SigningKeyError(f"there is no key {path}", "Name the file of a private key")
    return signer_of(pem, str(path))


def _refuse_published(folder: Path, keys: Path) -> None:
    """Refuse to keep private keys in the folder that a web server is to show."""
    if keys.resolve().is_relative_to(folder.resolve()):
        raise RepositoryError(
            folder,
            f"its private keys would be in it, in {keys}",
            "Keep them where the web server does not look: --keys DIR",
        )
