"""The list of a repository's packages, believed only as far as The Update Framework allows.

Trust begins at the signers that a PackageSource document names: the first root metadata that all
of them have signed is the anchor, and what follows it is checked by python-tuf (chapter 5.3 of
the specification). What was seen is kept, so that no older list is believed later.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from securesystemslib.exceptions import UnverifiedSignatureError
from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, Root, TargetFile, Targets
from tuf.api.serialization import DeserializationError
from tuf.ngclient import Updater, UpdaterConfig

from agent.whole_file import write_atomically
from providers.content.errors import (
    ConnectionLostError,
    ContentError,
    EndlessDataError,
    StatusError,
)
from providers.content.web import Web
from providers.package_source.errors import (
    ExpiredRootError,
    FrozenError,
    MixedError,
    RolledBackError,
    UnreadableListError,
    UnsignedError,
    UntrustedRootError,
)
from providers.package_source.metadata_fetcher import MetadataFetcher
from specs.fleet import CompiledPackageSource
from specs.types.ed25519_key import key_bytes

_ANCHOR = "anchor.json"
_HISTORY = "root_history"
_CONFIG = UpdaterConfig(max_delegations=1, targets_max_length=64 << 20)
_MOST_OF = {
    "root": _CONFIG.root_max_length,
    "timestamp": _CONFIG.timestamp_max_length,
    "snapshot": _CONFIG.snapshot_max_length,
    "targets": _CONFIG.targets_max_length,
}
"""Bytes of each metadata file."""
_ROLE_FILE = re.compile(r"\b(root|timestamp|snapshot|targets)(?:\.json)?\b")


def read_list(
    source: CompiledPackageSource, web: Web, folder: Path, now: datetime
) -> dict[str, TargetFile]:
    """Return the files that the repository has now, by their paths.

    ``folder`` keeps what was seen of it; one process at a time may work there. Raises
    PackageSourceError, and what ``Web.get`` raises. Files of delegated roles are not listed.
    """
    fetcher = MetadataFetcher(web)
    base = source.url.rstrip("/")
    with _explained(source.name, fetcher):
        anchor = _anchor(source, fetcher, folder, f"{base}/metadata/")
        updater = Updater(
            str(folder),
            f"{base}/metadata/",
            fetcher=fetcher,
            config=_CONFIG,
            bootstrap=anchor,
        )
        # The clock is the caller's; python-tuf has no parameter for it.
        updater._trusted_set.reference_time = now  # noqa: SLF001
        updater.refresh()
        targets = Metadata[Targets].from_file(str(folder / "targets.json")).signed
    return dict(targets.targets)


def _anchor(
    source: CompiledPackageSource, fetcher: MetadataFetcher, folder: Path, base: str
) -> bytes:
    """Return the root metadata that trust begins with; the one that is kept if it still fits."""
    signers = frozenset(map(key_bytes, source.signers))
    kept = folder / _ANCHOR
    if kept.is_file():
        with suppress(DeserializationError):  # a damaged one is fetched again
            if is_signed_by(kept.read_bytes(), signers):
                return kept.read_bytes()
    seen = 0
    for version in range(1, _CONFIG.max_root_rotations + 1):
        try:
            data = fetcher.download_bytes(f"{base}{version}.root.json", _CONFIG.root_max_length)
        except DownloadHTTPError:
            if not seen:
                raise
            break
        seen += 1
        if is_signed_by(data, signers):
            # Trust begins anew: what followed from another anchor counts no more. The timestamp
            # and snapshot that were seen stay, against older ones.
            shutil.rmtree(folder / _HISTORY, ignore_errors=True)
            write_atomically(kept, data, 0o600)
            return data
    raise UntrustedRootError(source.name, seen)


def is_signed_by(data: bytes, signers: frozenset[bytes]) -> bool:
    """Return whether root metadata is signed by all these keys, as keys of its own root role.

    DeserializationError where it is no metadata.
    """
    metadata = Metadata[Root].from_bytes(data)
    root = metadata.signed
    if not isinstance(root, Root):
        return False
    left = {key.hex() for key in signers}
    for keyid in root.roles[Root.type].keyids:
        key, signature = root.keys.get(keyid), metadata.signatures.get(keyid)
        if key is None or signature is None or key.keytype != "ed25519":
            continue
        try:
            key.verify_signature(signature, metadata.signed_bytes)
        except UnverifiedSignatureError:
            continue
        left.discard(str(key.keyval.get("public")))
    return not left


@contextmanager
def _explained(source: str, fetcher: MetadataFetcher) -> Iterator[None]:
    """Say what python-tuf refuses in our words: which file, and what kind of attack it may be."""
    try:
        yield
    except RepositoryError as error:
        raise _refusal(error, source, fetcher) from error
    except DownloadLengthMismatchError as error:
        role = fetcher.file.removesuffix(".json").rpartition(".")[2]
        raise EndlessDataError(fetcher.url, _MOST_OF.get(role, 0)) from error
    except DownloadHTTPError as error:
        raise StatusError(fetcher.url, error.status_code) from error
    except DownloadError as error:
        raise ConnectionLostError(fetcher.url, _line(error)) from error
    finally:
        fetcher.close()


def _refusal(error: RepositoryError, source: str, fetcher: MetadataFetcher) -> ContentError:
    said, file = _line(error), fetcher.file
    match error:
        case ExpiredMetadataError():
            expired = _named(error, fetcher)
            is_root = expired == "root.json"
            return ExpiredRootError(source) if is_root else FrozenError(source, expired)
        case UnsignedMetadataError():
            return UnsignedError(source, file, said)
        case BadVersionNumberError() if _is_older(said, file):
            return RolledBackError(source, file, said)
        case BadVersionNumberError() | LengthOrHashMismatchError():
            return MixedError(source, file, said)
        case DeserializationError():
            return UnreadableListError(source, file, "it is no metadata")
    if "missing info" in said:  # of a file that the snapshot before had
        return MixedError(source, file, said)
    return UnreadableListError(source, file, said)


def _is_older(said: str, file: str) -> bool:
    """Return whether python-tuf speaks of something older than was seen before.

    Of a snapshot that names an older list than the one before it says ``Expected targets.json
    version 1, got 2``: first the new version, then the one of before.
    """
    match = re.fullmatch(r"Expected \S+\.json version (\d+), got (\d+)", said)
    if match is not None:
        return int(match[1]) < int(match[2])
    return "must be >=" in said or file.endswith("root.json")


def _named(error: Exception, fetcher: MetadataFetcher) -> str:
    """Return the file that a message names, else the one that was asked for last."""
    match = _ROLE_FILE.search(str(error))
    return f"{match[1]}.json" if match else fetcher.file


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return "".join(char for char in text if char.isprintable())[:300].rstrip(".")
