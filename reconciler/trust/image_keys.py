"""Whose signatures of images are good: those of an authority's keys that were not retired."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from providers.imaging.image_signature import CheckedSignature, ImageSignature
from reconciler.errors import TrustError
from reconciler.trust.private_directory import PrivateDirectory
from reconciler.trust.rollover import key_id, read_earlier

_PREFIX = b"rackwright image\n"
"""Stands before what is signed, so that the signature is one of nothing else."""
_KEPT = 1 << 14
_SHORT = 12


def signed_bytes(digest: str, at: str) -> bytes:
    """Return what is signed of an image: the manifest's digest, from which all hangs, and when."""
    return _PREFIX + f"{digest}\n{at}\n".encode()


class ImageKeys:
    """The public keys of one authority, by which signatures of images are checked."""

    def __init__(
        self, accepted: Iterable[x509.Certificate], retired: Iterable[x509.Certificate]
    ) -> None:
        self._retired = frozenset(map(key_id, retired))
        self._accepted = {key_id(each): each for each in accepted}

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Return the keys of the authority in a directory; none where there is no authority.

        Its private key is not read. Raises TrustError as ``Authority.load_or_create``.
        """
        if not directory.exists():
            return cls((), ())
        private = PrivateDirectory(directory)
        pem = private.read("authority.crt")
        try:
            present = x509.load_pem_x509_certificates(pem) if pem else []
        except ValueError as error:
            raise TrustError(
                "RW502",
                f"{directory / 'authority.crt'} is not a certificate in PEM form",
                "Restore the directory from a backup",
            ) from error
        earlier = read_earlier(private)
        return cls((*present, *earlier.accepted), earlier.retired)

    def check(self, digest: str, signature: ImageSignature | None) -> CheckedSignature:
        """Return what the signature of an image is worth."""
        if signature is None:
            return CheckedSignature("none")
        key, at = signature.key, signature.at
        if not signature.signature:
            return CheckedSignature("bad", problem="its signature.json is damaged")
        certificate = self._accepted.get(key)
        if certificate is None and key in self._retired:
            problem = f"its signature is by key {key[:_SHORT]}, which was retired"
            return CheckedSignature("none", key, at, problem)
        if certificate is None:
            problem = f"its signature is by key {key[:_SHORT]}, which is none of this server's"
            return CheckedSignature("bad", key, at, problem)
        if not _has_signed(certificate, signature.signature, signed_bytes(digest, at)):
            problem = f"its signature by key {key[:_SHORT]} does not fit"
            return CheckedSignature("bad", key, at, problem)
        return CheckedSignature("good", key, at)


@lru_cache(_KEPT)
def _has_signed(certificate: x509.Certificate, signature: str, content: bytes) -> bool:
    """Return whether the certificate's key signed this. The server asks again every few seconds."""
    public = certificate.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey):
        return False
    try:
        public.verify(bytes.fromhex(signature), content, ec.ECDSA(hashes.SHA256()))
    except (ValueError, InvalidSignature):
        return False
    return True
