"""Making a signed package repository: a folder that any web server may serve.

Four roles sign (chapter 2.1 of the specification): ``root`` says which keys count and is kept
offline, ``targets`` signs the list of packages, ``snapshot`` and ``timestamp`` sign often that the
list is the newest. What lacks signatures waits in ``staged/``. Files are written before the list
that names them, and ``timestamp.json`` last: whenever the writing ends, what clients see is whole.
"""

import copy
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner, Key
from tuf.api.exceptions import RepositoryError as TufError
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    T,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from agent.whole_file import write_atomically
from providers.package_source.bundle import Bundle
from providers.package_source.errors import PackageBuildError, RepositoryError, SigningKeyError
from providers.package_source.listing import Listed, listed_packages
from providers.package_source.package_file import PACKAGE_FILE

ROLES = (Root.type, Targets.type, Snapshot.type, Timestamp.type)
OFFLINE = (Root.type, Targets.type)
"""Roles that a person signs for."""
LIFETIMES: Mapping[str, timedelta] = {
    Root.type: timedelta(days=365),
    Targets.type: timedelta(days=90),
    Snapshot.type: timedelta(days=14),
    Timestamp.type: timedelta(days=2),
}
"""How long what a role signed is valid, where nobody says anything."""
SOON = 0.5
"""Part of its life after which ``refresh`` renews what the online keys sign."""

_SETTINGS = "settings.json"
_MODE = 0o644
_PIECE = 1 << 20
_SERIALIZER = JSONSerializer(compact=False)


@dataclass(frozen=True)
class RoleState:
    """Until when what a role signed is valid, and what waits for its signatures."""

    role: str
    version: int
    expires: datetime
    is_staged: bool
    missing: int
    """Signatures that what is staged lacks."""


class Repository:
    """The repository in ``folder``, which ``create`` makes; signs with ``signers`` by their keys.

    ``now`` is the time that expiry counts from. RepositoryError where there is no repository.
    """

    def __init__(self, folder: Path, signers: Iterable[CryptoSigner], now: datetime) -> None:
        self.folder = folder
        self._signers = {each.public_key.keyid: each for each in signers}
        self._now = now.replace(microsecond=0)
        self._metadata = folder / "metadata"
        self._staged = folder / "staged"
        if not (folder / _SETTINGS).is_file():
            raise RepositoryError(
                folder, "it is no package repository", "Make one: rackwright package init"
            )
        self._lifetimes = _read_lifetimes(folder)

    @classmethod
    def create(  # noqa: PLR0913, PLR0917 - what a repository begins with
        cls,
        folder: Path,
        keys: Mapping[str, Collection[Key]],
        threshold: int,
        signers: Iterable[CryptoSigner],
        now: datetime,
        lifetimes: Mapping[str, timedelta] = LIFETIMES,
    ) -> "Repository":
        """Make a repository whose roles have these public keys.

        ``threshold`` is how many of the root's keys must sign; of the others one does. What lacks
        signatures is staged: ``sign`` goes on then. RepositoryError where there is one already,
        SigningKeyError where the threshold cannot be met.
        """
        if (folder / _SETTINGS).exists():
            raise RepositoryError(folder, "it is a repository already", "Name another folder")
        if not 1 <= threshold <= len(keys[Root.type]):
            raise SigningKeyError(
                f"{threshold} signatures of {len(keys[Root.type])} root keys are wanted",
                "Name as many root keys as have to sign, or more",
            )
        for part in ("metadata", "staged", "targets"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        said = {role: int(lifetimes[role].total_seconds()) for role in ROLES}
        write_atomically(folder / _SETTINGS, json.dumps(said, indent=2).encode() + b"\n", _MODE)
        made = cls(folder, signers, now)
        root = Root(version=1, expires=made._expiry(Root.type), consistent_snapshot=True)
        for role in ROLES:
            for key in keys[role]:
                root.add_key(key, role)
        root.roles[Root.type].threshold = threshold
        made._stage(Metadata(root))
        made._stage(Metadata(Targets(version=1, expires=made._expiry(Targets.type))))
        made.sign()
        return made

    def add_signer(self, signer: CryptoSigner) -> None:
        """Have a further key here."""
        self._signers[signer.public_key.keyid] = signer

    # --- what it has -------------------------------------------------------------

    def packages(self) -> list[Listed]:
        """Return the packages as they are listed, or will be once what is staged is signed."""
        targets = self._newest(Targets).signed.targets
        return sorted(listed_packages(targets), key=lambda each: (each.name, each.version))

    def states(self) -> list[RoleState]:
        """Return until when each role's metadata is valid."""
        found = []
        kinds: tuple[type[Any], ...] = (Root, Targets, Snapshot, Timestamp)
        for kind in kinds:
            staged = self._read(self._staged / f"{kind.type}.json")
            current = self._current(kind)
            shown = current or staged
            if shown is None:
                continue
            missing = 0 if staged is None else self._missing(staged)
            signed = shown.signed
            found.append(
                RoleState(kind.type, signed.version, signed.expires, staged is not None, missing)
            )
        return found

    # --- what is done ------------------------------------------------------------

    def publish(self, bundles: Iterable[Bundle]) -> None:
        """Add packages to the list. PackageBuildError where another one has that version."""
        targets = self._next_targets()
        for bundle in bundles:
            self._add(targets, bundle)
        self._stage(Metadata(targets))
        self.sign()

    def yank(self, name: str, version: str, reason: str) -> None:
        """Have a package offered no longer: it stays in the list, with the reason.

        PackageBuildError where there is none.
        """
        targets = self._next_targets()
        path = f"{name}/{version}/{PACKAGE_FILE}"
        if path not in targets.targets:
            raise PackageBuildError(
                str(self.folder),
                f"there is no package {name} {version}",
                "See which there are: rackwright package ls REPO",
            )
        said = {"yanked": {"reason": reason, "at": self._now.isoformat()}}
        targets.targets[path].unrecognized_fields["custom"] = said
        self._stage(Metadata(targets))
        self.sign()

    def refresh(
        self,
        *,
        root: bool = False,
        rotate: Collection[str] = (),
        new_keys: Mapping[str, Key] | None = None,
    ) -> None:
        """Sign anew that the list is the newest, before that expires.

        The snapshot and the targets are renewed where half of their life is over and their keys
        are here. With ``root`` the root metadata is renewed; roles of ``rotate`` get the one of
        ``new_keys`` instead of theirs, and what they signed is signed anew.
        """
        if root or rotate:
            self._renew_root(rotate, new_keys or {})
        targets = self._current(Targets)
        is_due = targets is not None and (Targets.type in rotate or self._is_old(targets))
        if is_due and not (self._staged / "targets.json").exists():
            self._stage(Metadata(self._next_targets()))
        self.sign(anew=True)

    def sign(self, *, anew: bool = False) -> None:
        """Add the signatures of the keys that are here; put in force what has enough of them.

        SigningKeyError where no key is here that anything could be signed with.
        """
        changed = anew
        for kind in (Root, Targets):
            staged = self._read(self._staged / f"{kind.type}.json")
            if staged is None:
                continue
            for keyid in self._keyids(staged):
                if keyid in self._signers:
                    staged.sign(self._signers[keyid], append=True)
            if self._missing(staged) or (kind is Targets and self._current(Root) is None):
                self._write(self._staged / f"{kind.type}.json", staged)
                continue
            self._write(self._metadata / f"{staged.signed.version}.{kind.type}.json", staged)
            (self._staged / f"{kind.type}.json").unlink()
            changed = True
        if changed and self._current(Root) is not None and self._current(Targets) is not None:
            self._sign_online()

    # --- inside ------------------------------------------------------------------

    def _renew_root(self, rotate: Collection[str], new_keys: Mapping[str, Key]) -> None:
        root = copy.deepcopy(self._newest(Root).signed)
        root.version = self._version(Root) + 1
        root.expires = self._expiry(Root.type)
        for role in rotate:
            for keyid in list(root.roles[role].keyids):
                root.revoke_key(keyid, role)
            root.add_key(new_keys[role], role)
        self._stage(Metadata(root))

    def _add(self, targets: Targets, bundle: Bundle) -> None:
        package = bundle.package
        path = f"{package.folder}/{PACKAGE_FILE}"
        entry = TargetFile.from_data(path, bundle.data, ["sha256"])
        known = targets.targets.get(path)
        if known is not None and known.hashes != entry.hashes:
            raise PackageBuildError(
                f"{package.name} {package.version}",
                "the repository has another package of that version",
                "Give the changed one a new version: machines that have the old one never look "
                "at it again otherwise",
            )
        for target, file in package.targets.items():
            targets.targets[target] = TargetFile(file.size, {"sha256": file.sha256}, target)
            place = self._target(target, file.sha256)
            if not place.is_file():
                place.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(place, _pieces(bundle.folder / file.name), _MODE)
        place = self._target(path, entry.hashes["sha256"])
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, bundle.data, _MODE)
        targets.targets[path] = entry

    def _target(self, path: str, sha256: str) -> Path:
        folder, _, name = path.rpartition("/")
        return self.folder / "targets" / folder / f"{sha256}.{name}"

    def _next_targets(self) -> Targets:
        """Return the list to change: what is staged, or a next version of what is in force."""
        targets: Targets = copy.deepcopy(self._newest(Targets).signed)
        targets.version = self._version(Targets) + 1
        targets.expires = self._expiry(Targets.type)
        return targets

    def _sign_online(self) -> None:
        """Sign a snapshot, where it is needed, and a timestamp; files of older ones stay."""
        root, targets = self._newest(Root).signed, self._require(Targets)
        old = self._current(Snapshot)
        versions = {"targets.json": MetaFile(targets.signed.version)}
        is_new = old is None or old.signed.meta != versions or self._is_old(old)
        is_new = is_new or not _is_signed(root, Snapshot.type, old)
        snapshot = old
        if is_new or snapshot is None:
            version = self._version(Snapshot) + 1
            made = Snapshot(version=version, expires=self._expiry(Snapshot.type), meta=versions)
            snapshot = Metadata(made)
            self._sign_one(snapshot, Snapshot.type)
            self._write(self._metadata / f"{version}.snapshot.json", snapshot)
        timestamp = Metadata(
            Timestamp(
                version=self._version(Timestamp) + 1,
                expires=self._expiry(Timestamp.type),
                snapshot_meta=MetaFile.from_data(
                    snapshot.signed.version, snapshot.to_bytes(_SERIALIZER), ["sha256"]
                ),
            )
        )
        self._sign_one(timestamp, Timestamp.type)
        self._write(self._metadata / "timestamp.json", timestamp)

    def _sign_one(self, metadata: Metadata[Any], role: str) -> None:
        keyids = self._newest(Root).signed.roles[role].keyids
        here = [self._signers[keyid] for keyid in keyids if keyid in self._signers]
        if not here:
            raise SigningKeyError(
                f"no key is here that signs the {role} of {self.folder}",
                "Name it with --key, or its folder with --keys; what has its signatures is "
                "published by `rackwright package refresh`",
            )
        metadata.sign(here[0])

    def _keyids(self, staged: Metadata[Any]) -> list[str]:
        """Return the keys that may sign what is staged; of a root, the old ones and its own."""
        role = staged.signed.type
        roots = [self._newest(Root).signed]
        if role == Root.type:
            current = self._current(Root)
            roots = [staged.signed, *([current.signed] if current else [])]
        return list(dict.fromkeys(keyid for root in roots for keyid in root.roles[role].keyids))

    def _missing(self, staged: Metadata[Any]) -> int:
        """Return how many signatures what is staged lacks."""
        role = staged.signed.type
        current = self._current(Root)
        roots = [current.signed] if current else [self._newest(Root).signed]
        if role == Root.type and current is not None:
            roots.append(staged.signed)
        results = [
            root.get_verification_result(role, staged.signed_bytes, staged.signatures)
            for root in roots
        ]
        return max(max(0, each.threshold - len(each.signed)) for each in results)

    def _stage(self, metadata: Metadata[Any]) -> None:
        self._write(self._staged / f"{metadata.signed.type}.json", metadata)

    def _is_old(self, metadata: Metadata[Any]) -> bool:
        left: timedelta = metadata.signed.expires - self._now
        return left < self._lifetimes[metadata.signed.type] * SOON

    def _expiry(self, role: str) -> datetime:
        return self._now + self._lifetimes[role]

    def _version(self, kind: type[T]) -> int:
        """Return the version that is in force, 0 where there is none yet."""
        current = self._current(kind)
        return 0 if current is None else int(current.signed.version)

    def _newest(self, kind: type[T]) -> Metadata[T]:
        """Return what is staged, else what is in force."""
        staged = self._read(self._staged / f"{kind.type}.json")
        return staged or self._require(kind)

    def _require(self, kind: type[T]) -> Metadata[T]:
        found = self._current(kind)
        if found is None:
            raise RepositoryError(
                self.folder,
                f"it has no {kind.type} metadata yet",
                "Give it the signatures that it waits for: rackwright package sign",
            )
        return found

    def _current(self, kind: type[T]) -> Metadata[T] | None:
        """Return what is in force of a role."""
        if kind is Timestamp:
            return self._read(self._metadata / "timestamp.json")
        versions = [
            int(number)
            for path in self._metadata.glob(f"*.{kind.type}.json")
            if (number := path.name.partition(".")[0]).isdecimal()
        ]
        if not versions:
            return None
        return self._read(self._metadata / f"{max(versions)}.{kind.type}.json")

    def _read(self, path: Path) -> Metadata[Any] | None:
        if not path.is_file():
            return None
        try:
            return Metadata.from_bytes(path.read_bytes())
        except TufError as error:
            raise RepositoryError(
                self.folder, f"{path.name} is damaged", "Restore it from a backup"
            ) from error

    def _write(self, path: Path, metadata: Metadata[Any]) -> None:
        write_atomically(path, metadata.to_bytes(_SERIALIZER), _MODE)


def _is_signed(root: Root, role: str, metadata: Metadata[Any] | None) -> bool:
    if metadata is None:
        return False
    found = root.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
    return bool(found.verified)


def _read_lifetimes(folder: Path) -> dict[str, timedelta]:
    try:
        said = json.loads((folder / _SETTINGS).read_bytes())
        return {role: timedelta(seconds=int(said[role])) for role in ROLES}
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise RepositoryError(
            folder, f"{_SETTINGS} cannot be read", "Restore it from a backup"
        ) from error


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(_PIECE), b"")
