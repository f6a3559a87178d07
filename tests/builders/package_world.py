"""A signed package repository, its keys, and a source that mirrors it."""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata

from providers.content.store import ContentStore
from providers.content.web import Web
from providers.package_source.bundle import Bundle, build
from providers.package_source.keys import new_key, public_text, signer_of
from providers.package_source.mirror import MirrorResult, mirror
from providers.package_source.repository import ROLES, Repository
from specs.diagnostics.position import Position
from specs.fleet import CompiledPackageSource

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def a_key(name: str = "a key") -> CryptoSigner:
    return signer_of(new_key(), name)


def a_source(url: str, *signers: CryptoSigner, **changes: object) -> CompiledPackageSource:
    keys = tuple(public_text(each.public_key) for each in signers)
    empty = CompiledPackageSource(
        "lab", url, 10, keys, "", "", "", None, 0, 1, Position("f.yaml", 1, 1)
    )
    return empty._replace(**changes)


def package_text(name: str, version: str, files: dict[str, bytes], **more: object) -> str:
    """Return a Package document (JSON is YAML) with these files."""
    spec = {
        "type": "application",
        "version": version,
        "targets": [{"family": "debian"}],
        "files": [
            {
                "url": f"https://files.example.net/{file}",
                "sha256": hashlib.sha256(content).hexdigest(),
            }
            for file, content in files.items()
        ],
        "setup": {"command": ["true"]},
        "detect": [{"package": {"name": name}}],
        **more,
    }
    head = {"apiVersion": "rackwright/v1alpha1", "kind": "Package", "metadata": {"name": name}}
    return json.dumps({**head, "spec": spec})


class PackageWorld:
    """A repository in ``folder/repo`` whose roles have one key each, and a mirror of it."""

    def __init__(self, folder: Path, now: datetime = NOW) -> None:
        self.folder = folder
        self.now = now
        self.keys = {role: a_key(role) for role in ROLES}
        self.path = folder / "repo"
        self.store = ContentStore(folder / "content")
        public = {role: [signer.public_key] for role, signer in self.keys.items()}
        Repository.create(self.path, public, 1, self.keys.values(), now)

    @property
    def metadata(self) -> Path:
        return self.path / "metadata"

    def repository(self, *, without: Iterable[str] = (), now: datetime | None = None) -> Repository:
        left = [key for role, key in self.keys.items() if role not in without]
        return Repository(self.path, left, now or self.now)

    def bundle(
        self, name: str = "agent", version: str = "1.0", files: dict[str, bytes] | None = None
    ) -> Bundle:
        source = self.folder / "sources" / f"{name}-{version}"
        source.mkdir(parents=True, exist_ok=True)
        content = {"agent.deb": name.encode() * 1000} if files is None else files
        for file, data in content.items():
            (source / file).write_bytes(data)
        (source / "package.yaml").write_text(package_text(name, version, content), "utf-8")

        def nothing_is_fetched(_file: object) -> Path:
            raise AssertionError

        (made,) = build(source, self.folder / "built", nothing_is_fetched)
        return made

    def publish(
        self, name: str = "agent", version: str = "1.0", files: dict[str, bytes] | None = None
    ) -> Bundle:
        made = self.bundle(name, version, files)
        self.repository().publish([made])
        return made

    def mirror(
        self, url: str, *, now: datetime | None = None, web: Web | None = None, **changes: object
    ) -> MirrorResult:
        source = a_source(url, self.keys["root"], **changes)
        folder = self.folder / "seen" / source.name
        return mirror(source, self.store, folder, now or self.now, web=web)

    def read(self, file: str) -> Metadata:
        return Metadata.from_file(str(self.metadata / file))

    def write(self, file: str, metadata: Metadata, *signers: CryptoSigner) -> None:
        """Put metadata into the repository, signed anew by these."""
        metadata.signatures.clear()
        for signer in signers:
            metadata.sign(signer, append=True)
        metadata.to_file(str(self.metadata / file))


def offered(result: MirrorResult) -> list[str]:
    assert result.packages is not None
    return [
        f"{each.name} {each.version}"
        for each in result.packages
        if not each.yanked and not each.problem
    ]
