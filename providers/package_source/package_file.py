"""``package.json``: a Package document and the files that it needs. Pure.

Canonical JSON, so that one package has one checksum wherever it is built: keys sorted, no spaces,
UTF-8. Its own checksum is in the signed list, and those of the files in it.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.nearest import NearestNames
from specs.kinds.package import Package
from specs.validate.document import define
from specs.yaml import load_file

FORMAT = "rackwright-package/1"
PACKAGE_FILE = "package.json"
MOST_BYTES = 1 << 20
"""Of a package.json."""
LARGEST_FILE = 1 << 40

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~_:-]{0,127}")
_FILE = re.compile(r"[^\s/\\%?#\x00-\x1f.][^/\\%?#]{0,199}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FIELDS = {"document", "files", "format"}


class InvalidPackageError(Exception):
    """The text is no package: why, as a clause. Its callers say where it came from."""


@dataclass(frozen=True)
class PackageFile:
    """A file of a package; ``size`` in bytes."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class SourcedPackage:
    """A package as repositories have it."""

    document: Package
    files: tuple[PackageFile, ...]

    @property
    def name(self) -> str:
        """Return what documents call it."""
        return self.document.metadata.name

    @property
    def version(self) -> str:
        """Return its version; ``any`` where the machine's own sources have it."""
        return self.document.spec.version or "any"

    @property
    def folder(self) -> str:
        """Return the folder of its targets."""
        return f"{self.name}/{self.version}"

    @property
    def targets(self) -> Mapping[str, PackageFile]:
        """Return its files by the paths of their targets."""
        return {f"{self.folder}/files/{each.name}": each for each in self.files}


def encode(document: Mapping[str, Any], files: Iterable[PackageFile]) -> bytes:
    """Return the canonical JSON of a Package document, as plain data, and its files."""
    listed = sorted(
        ({"name": each.name, "sha256": each.sha256, "size": each.size} for each in files),
        key=lambda each: str(each["name"]),
    )
    whole = {"document": document, "files": listed, "format": FORMAT}
    return _canonical(whole)


def decode(data: bytes) -> SourcedPackage:
    """Return the package; InvalidPackageError for anything else, whatever the bytes are."""
    if len(data) > MOST_BYTES:
        raise InvalidPackageError(f"it has more than {MOST_BYTES:,} bytes")
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidPackageError("it is no JSON") from error
    if not isinstance(whole, dict) or whole.keys() != _FIELDS:
        raise InvalidPackageError(f"it has other fields than {', '.join(sorted(_FIELDS))}")
    if whole["format"] != FORMAT:
        raise InvalidPackageError(f"its format is not {FORMAT}")
    files = _files(whole["files"])
    document = package_document(_canonical(whole["document"]))
    found = SourcedPackage(document, files)
    require_publishable(found)
    return found


def package_document(text: bytes) -> Package:
    """Return the Package document that a text, YAML or JSON, has; InvalidPackageError."""
    loaded = load_file(PACKAGE_FILE, text)
    diagnostics = Diagnostics()
    diagnostics.extend(loaded.diagnostics)
    nearest = NearestNames()
    found = [define(each, diagnostics, nearest) for each in loaded.documents]
    if diagnostics.has_errors:
        first = diagnostics.in_order()[0]
        raise InvalidPackageError(f"its document is not valid: {first.message}")
    if len(found) != 1 or not isinstance(found[0].model, Package):
        raise InvalidPackageError("it has not exactly one Package document")
    return found[0].model


def require_publishable(package: SourcedPackage) -> None:
    """Refuse what cannot be the path of a target; InvalidPackageError."""
    if not _VERSION.fullmatch(package.version):
        raise InvalidPackageError(
            f"the version {package.version[:80]!r} has other characters than letters, digits and "
            ". + ~ _ : -, or is too long"
        )
    names = [each.name for each in package.files]
    for name in names:
        if not _FILE.fullmatch(name) or not name.isprintable():
            raise InvalidPackageError(f"{name[:80]!r} cannot be the name of a package's file")
    if len(set(names)) != len(names):
        raise InvalidPackageError("two of its files have one name")


def _files(listed: object) -> tuple[PackageFile, ...]:
    if not isinstance(listed, list):
        raise InvalidPackageError("its files are no list")
    return tuple(map(_file, listed))


def _file(entry: object) -> PackageFile:
    if not isinstance(entry, dict) or entry.keys() != {"name", "sha256", "size"}:
        raise InvalidPackageError("a file of it has other fields than name, sha256, size")
    name, sha256, size = entry["name"], entry["sha256"], entry["size"]
    if not isinstance(name, str):
        raise InvalidPackageError("the name of a file is no text")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise InvalidPackageError(f"the checksum of {name[:80]!r} is none")
    if type(size) is not int or not 0 <= size <= LARGEST_FILE:
        raise InvalidPackageError(f"the size of {name[:80]!r} is none")
    return PackageFile(name, sha256, size)


def _canonical(value: object) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair
        raise InvalidPackageError("it has text that is no Unicode") from error
