"""Earlier keys of the authority in its directory, and the change from one key to the next.

A rollover changes several files. All of it is first written into one, the redo log; whoever
opens the directory carries it out to the end, so that a crash leaves either authority whole.
"""

from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from reconciler.errors import TrustError
from reconciler.trust.private_directory import PrivateDirectory

_ACCEPTED = "authority-accepted.crt"
_RETIRED = "authority-retired.crt"
_LINKS = "authority-links.crt"
_REDO_LOG = "authority-rollover.pem"
EARLIER_FILES = (_ACCEPTED, _RETIRED, _LINKS)
_SECTION = b"# --- next file ---\n"


class EarlierKeys(NamedTuple):
    """Certificates of keys that sign no more; the newest first."""

    accepted: tuple[x509.Certificate, ...] = ()
    """Those whose agents are let in."""
    retired: tuple[x509.Certificate, ...] = ()
    """Those whose agents have to ask to come back."""
    links: tuple[x509.Certificate, ...] = ()
    """Each key's certificate by the key before it."""


def key_id(certificate: x509.Certificate) -> str:
    """Return the id of the key that a certificate of an authority is for, in hex."""
    found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return found.value.digest.hex()


def read_earlier(directory: PrivateDirectory) -> EarlierKeys:
    """Return the earlier keys; TrustError RW502 where a file is damaged."""
    return EarlierKeys(*(_certificates(directory, name) for name in EARLIER_FILES))


def write_earlier(directory: PrivateDirectory, earlier: EarlierKeys) -> None:
    """Keep the earlier keys; a key that is in two files for a moment is accepted yet."""
    for name, certificates in reversed(list(zip(EARLIER_FILES, earlier, strict=True))):
        directory.replace(name, _pem(certificates))


def begin_rollover(
    directory: PrivateDirectory, key: bytes, root: x509.Certificate, earlier: EarlierKeys
) -> None:
    """Put a new key in place of the present one; either all of it or nothing happens."""
    sections = (*map(_pem, earlier), key, _pem((root,)))
    directory.replace(_REDO_LOG, _SECTION.join(sections))
    finish_rollover(directory)


def finish_rollover(directory: PrivateDirectory) -> None:
    """Carry out a rollover that was begun; nothing where none was."""
    log = directory.read(_REDO_LOG)
    if log is None:
        return
    names = (*EARLIER_FILES, "authority.key", "authority.crt")
    for name, content in zip(names, log.split(_SECTION), strict=True):
        directory.replace(name, content)
    directory.remove(_REDO_LOG)


def _certificates(directory: PrivateDirectory, name: str) -> tuple[x509.Certificate, ...]:
    pem = directory.read(name)
    if not pem:
        return ()
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except ValueError as error:
        raise TrustError(
            "RW502",
            f"{directory.path / name} does not hold certificates in PEM form",
            "Restore the directory from a backup",
        ) from error


def _pem(certificates: tuple[x509.Certificate, ...]) -> bytes:
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)
