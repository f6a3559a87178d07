"""Reading a certificate signing request (RFC 2986): nothing but its key is of interest."""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from reconciler.errors import TrustError

_LONGEST_REQUEST = 20_000


def requested_key(csr_pem: str) -> ec.EllipticCurvePublicKey:
    """Return the key that a PEM request asks a certificate for, and that signed the request.

    Raises ``TrustError``: RW505 for a malformed request, RW506 for a key that is not P-256.
    """
    if len(csr_pem) > _LONGEST_REQUEST:
        raise _bad_request(f"it is longer than {_LONGEST_REQUEST} characters")
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode())
        key = request.public_key()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise _bad_request("it cannot be parsed") from error
    # Before its signature is computed: what a stranger's odd key costs is not ours to pay.
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TrustError(
            "RW506",
            "the certificate request holds a key that is not P-256",
            "Let the agent make a key on the curve secp256r1; a current agent does",
        )
    try:
        valid = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _bad_request("its signature has an unknown form") from error
    if not valid:
        raise _bad_request("it is not signed by the key that it holds")
    return key


def _bad_request(reason: str) -> TrustError:
    return TrustError(
        "RW505",
        f"the certificate request is not acceptable: {reason}",
        "Let the agent make a new key and request",
    )
