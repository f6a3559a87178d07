"""Making packages of Package documents and the files beside them."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from agent.whole_file import write_atomically
from providers.package_source.errors import PackageBuildError
from providers.package_source.package_file import (
    MOST_BYTES,
    PACKAGE_FILE,
    InvalidPackageError,
    PackageFile,
    SourcedPackage,
    decode,
    encode,
)
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.nearest import NearestNames
from specs.kinds.package import Package
from specs.kinds.source_file import SourceFile
from specs.types.secret import SecretReference
from specs.validate.document import define
from specs.validate.resource import Resource
from specs.yaml import load_file

_SUFFIXES = (".yaml", ".yml")
_PIECE = 1 << 20

Fetch = Callable[[SourceFile], Path]
"""Returns where a file of the web is now, verified by its checksum; raises ContentError."""


@dataclass(frozen=True)
class Bundle:
    """A folder with ``package.json`` and the package's files."""

    folder: Path
    package: SourcedPackage
    data: bytes
    """Of ``package.json``."""


def build(source: Path, output: Path, fetch: Fetch) -> list[Bundle]:
    """Make a bundle of each Package document of a file, or of a folder's YAML files.

    A file of a package is taken from beside its document, by the last part of its address; where
    it is not there, ``fetch`` has it. Bundles are folders ``NAME-VERSION`` in ``output``.
    Raises PackageBuildError, and what ``fetch`` raises.
    """
    found = [bundle for file in _yaml(source) for bundle in _build_file(file, output, fetch)]
    if not found:
        raise PackageBuildError(
            str(source), "there is no Package document in it", "Name a file or folder that has one"
        )
    return found


def read_bundle(folder: Path) -> Bundle:
    """Return a bundle; PackageBuildError where the folder is none, or a file of it has changed."""
    try:
        with (folder / PACKAGE_FILE).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        package = decode(data)
    except OSError as error:
        raise PackageBuildError(
            str(folder), f"its {PACKAGE_FILE} cannot be read", "Build it: rackwright package build"
        ) from error
    except InvalidPackageError as error:
        raise PackageBuildError(str(folder), str(error), "Build it again") from error
    for each in package.files:
        path = folder / each.name
        if not path.is_file() or _checksum(path) != (each.sha256, each.size):
            raise PackageBuildError(str(path), "it is missing or was changed", "Build it again")
    return Bundle(folder, package, data)


def _yaml(source: Path) -> Iterator[Path]:
    if source.is_dir():
        yield from sorted(each for each in source.iterdir() if each.suffix in _SUFFIXES)
    else:
        yield source


def _build_file(file: Path, output: Path, fetch: Fetch) -> Iterator[Bundle]:
    try:
        loaded = load_file(str(file), file.read_bytes())
    except OSError as error:
        raise PackageBuildError(
            str(file), f"it cannot be read: {error.strerror}", "Name a file that is there"
        ) from error
    diagnostics = Diagnostics()
    diagnostics.extend(loaded.diagnostics)
    nearest = NearestNames()
    resources = [define(document, diagnostics, nearest) for document in loaded.documents]
    if diagnostics.has_errors:
        first = diagnostics.in_order()[0]
        raise PackageBuildError(str(first.position), first.message, first.hint or "Correct it")
    for resource in resources:
        if isinstance(resource.model, Package):
            yield _build_one(file, resource, resource.model, output, fetch)


def _build_one(
    file: Path, resource: Resource, document: Package, output: Path, fetch: Fetch
) -> Bundle:
    where = f"{file}, Package {resource.name}"
    taken = [(_name_of(each), _find(file.parent, each, fetch)) for each in document.spec.files]
    files = [PackageFile(name, *_checksum(path)) for name, path in taken]
    data = encode(_plain(resource.document.data), files)
    try:
        package = decode(data)
    except InvalidPackageError as error:
        raise PackageBuildError(where, str(error), "Correct the document") from error
    folder = output / f"{package.name}-{package.version}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in taken:
        if path.resolve() != (folder / name).resolve():
            write_atomically(folder / name, _pieces(path), 0o644)
    write_atomically(folder / PACKAGE_FILE, data, 0o644)
    return Bundle(folder, package, data)


def _find(folder: Path, wanted: SourceFile, fetch: Fetch) -> Path:
    path = folder / _name_of(wanted)
    if not path.is_file():
        return fetch(wanted)
    found, _ = _checksum(path)
    if found != wanted.sha256:
        raise PackageBuildError(
            str(path),
            f"its SHA-256 is {found}, the document wants {wanted.sha256}",
            "Correct the document, or take the right file",
        )
    return path


def _name_of(file: SourceFile) -> str:
    """Return what a file is called beside the document, and on the machine."""
    return unquote(urlsplit(file.url).path.rpartition("/")[2]) or "file"


def _checksum(path: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for piece in _pieces(path):
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(_PIECE), b"")


def _plain(value: Any) -> Any:  # noqa: ANN401 - plain data of a document
    """Return a document's data in the form of JSON."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, SecretReference):
        raise TypeError("no field of a Package takes a secret")
    return value
