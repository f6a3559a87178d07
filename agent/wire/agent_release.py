"""Releases of the agent, as the server hands them out."""

from attrs import field, frozen, validators

SIGNED_PREFIX = b"rackwright agent release\n"
"""Stands before what is signed, so that the signature is one of nothing else: the same key signs
certificates, which begin otherwise."""
ARCHITECTURE = "x86_64"
_FORM = "rackwright-agent-release"
_MOST_FILES = 10
_VERSION = r"^[0-9]{1,9}(\.[0-9]{1,9}){1,3}-[0-9]{1,9}\Z"
WANTED_VERSION = r"^[0-9]{1,9}(\.[0-9]{1,9}){1,3}(-[0-9]{1,9})?\Z"


@frozen
class ReleaseFile:
    """One file of a release, by its SHA-256; ``size`` is in bytes."""

    name: str = field(validator=validators.matches_re(r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}\Z"))
    sha256: str = field(validator=validators.matches_re(r"^[0-9a-f]{64}\Z"))
    size: int = field(validator=validators.ge(1))


@frozen
class ReleaseManifest:
    """What a release is: ``files`` has one archive, to be unpacked at a machine's root."""

    version: str = field(validator=validators.matches_re(_VERSION))
    architecture: str
    files: tuple[ReleaseFile, ...] = field(
        validator=validators.and_(validators.min_len(1), validators.max_len(_MOST_FILES))
    )
    form: str = field(default=_FORM, validator=validators.in_((_FORM,)))


@frozen
class AgentRelease:
    """A manifest as it was signed, byte for byte, and the signature (ECDSA, DER) in hex.

    Signed are ``SIGNED_PREFIX`` and the manifest, by the server's certification authority.
    """

    manifest: str = field(validator=validators.max_len(10_000))
    signature: str = field(validator=validators.matches_re(r"^([0-9a-f]{2}){1,200}\Z"))
