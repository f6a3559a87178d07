"""Errors of package repositories. Each class owns its code.

ContentError (providers.content.errors)
└── PackageSourceError
    ├── UnsignedError          RW265  too few signatures of the keys that count
    ├── FrozenError            RW266  a part of the list has expired
    ├── RolledBackError        RW267  an older list than the one that is known
    ├── MixedError             RW268  parts of the list that do not belong together
    ├── UntrustedRootError     RW271  no root metadata is signed by the document's signers
    ├── UnreadableListError    RW272  metadata or a package that is not understood
    ├── ExpiredRootError       RW274  the root metadata has expired
    ├── SigningKeyError        RW277  a key that is missing, or none of the repository's
    ├── PackageBuildError      RW278  no package can be made of it
    └── RepositoryError        RW279  the folder is no repository, or one already
"""

from pathlib import Path
from typing import ClassVar

from providers.content.errors import ContentError, Failure

_ATTACK = "Use nothing of it; ask whoever runs the repository, and find out who answers there"


class PackageSourceError(ContentError):
    """A package repository cannot be used."""

    failure: ClassVar[Failure] = "signature"


class UnsignedError(PackageSourceError):
    """Somebody without the keys wrote it, or the repository signs with others."""

    def __init__(self, source: str, file: str, reason: str) -> None:
        super().__init__(
            "RW265", f"{file} of {source} is not signed as it has to be: {reason}", _ATTACK
        )


class FrozenError(PackageSourceError):
    """The repository is not kept up, or somebody keeps newer lists back (freeze attack)."""

    def __init__(self, source: str, file: str) -> None:
        super().__init__(
            "RW266",
            f"{file} of {source} has expired: newer lists are kept back, or nobody renews it",
            "Renew it where the repository is made: `rackwright package refresh REPO`; see whether "
            "this host's clock is right",
        )


class RolledBackError(PackageSourceError):
    """An older list than was seen before (rollback attack)."""

    def __init__(self, source: str, file: str, reason: str) -> None:
        super().__init__(
            "RW267",
            f"{file} of {source} is older than what was seen before: {reason}",
            "Find out who answers there. Where an older copy of the repository was restored, or a "
            "list had a version far ahead, give it new keys: `rackwright package refresh REPO "
            "--rotate timestamp --rotate snapshot`",
        )


class MixedError(PackageSourceError):
    """Parts of different lists (mix-and-match attack), or one that was changed underway."""

    def __init__(self, source: str, file: str, reason: str) -> None:
        super().__init__(
            "RW268",
            f"{file} of {source} does not belong to the rest of the list: {reason}",
            "If the repository was being written, it goes away by itself; else find out who "
            "answers there",
        )


class UntrustedRootError(PackageSourceError):
    """No root metadata is signed by the signers that the document names."""

    def __init__(self, source: str, versions: int) -> None:
        super().__init__(
            "RW271",
            f"none of the {versions} root metadata of {source} is signed by all signers that the "
            "document names",
            "Compare spec.signers with what `rackwright package init` printed",
        )


class UnreadableListError(PackageSourceError):
    """Metadata, or the description of a package, is not understood."""

    def __init__(self, source: str, file: str, reason: str) -> None:
        super().__init__(
            "RW272",
            f"{file} of {source} is not understood: {reason}",
            "See whether the address is that of a package repository, and whether its makers use "
            "a newer version",
        )


class ExpiredRootError(PackageSourceError):
    """The root metadata has expired: with it, nothing of the repository is trusted."""

    def __init__(self, source: str) -> None:
        super().__init__(
            "RW274",
            f"the root metadata of {source} has expired",
            "Whoever has its keys renews it: `rackwright package refresh REPO --root`",
        )


class SigningKeyError(PackageSourceError):
    """A key is missing, cannot be read, or is none of the repository's."""

    failure = "other"

    def __init__(self, reason: str, action: str) -> None:
        super().__init__("RW277", reason, action)


class PackageBuildError(PackageSourceError):
    """No package can be made, or it is another than the one of that version."""

    failure = "other"

    def __init__(self, place: str, reason: str, action: str) -> None:
        super().__init__("RW278", f"{place}: {reason}", action)


class RepositoryError(PackageSourceError):
    """The folder is no repository that can be worked on."""

    failure = "other"

    def __init__(self, folder: Path, reason: str, action: str) -> None:
        super().__init__("RW279", f"{folder}: {reason}", action)
