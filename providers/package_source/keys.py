"""The Ed25519 keys of a repository, as PEM (PKCS 8) and as documents name them."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner, Key, SSlibKey

from providers.package_source.errors import SigningKeyError
from specs.types.ed25519_key import key_bytes, key_text


def new_key() -> bytes:
    """Return the PEM of a new private key, not encrypted: the folder that has it is private."""
    return Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


def signer_of(pem: bytes, place: str) -> CryptoSigner:
    """Return what signs with a private key; SigningKeyError where it is none of this kind.

    ``place`` is where it came from, for people.
    """
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None  # the reason may quote the key
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyError(
            f"{place} is no Ed25519 private key as PEM without a password",
            "Make one: openssl genpkey -algorithm ed25519",
        )
    return CryptoSigner(key)


def public_text(key: Key) -> str:
    """Return a public key as documents write it."""
    return key_text(bytes.fromhex(str(key.keyval["public"])))


def public_key(text: str) -> SSlibKey:
    """Return the key that documents write so; SigningKeyError where it is none."""
    try:
        raw = key_bytes(text)
    except ValueError as error:
        raise SigningKeyError(
            f"{text[:80]!r} is no public key", "It is written ed25519: and 44 letters of Base64"
        ) from error
    return SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(raw))
