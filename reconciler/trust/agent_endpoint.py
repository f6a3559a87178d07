"""Where agents find the server whose state directory is here, without starting it."""

import hashlib
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from reconciler.errors import TrustError


def endpoint_beside(state: Path, port: int) -> tuple[str, str] | None:
    """Return address and pin of the server; None where none ever ran on this state directory.

    Raises TrustError: RW501 when its certificate cannot be read, RW502 when it is damaged.
    """
    path = state / "trust" / "server.crt"
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        (address,) = names.value.get_values_for_type(x509.IPAddress)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TrustError(
            "RW501",
            f"{path} cannot be read: {error.strerror}",
            "Do this as the server's own user, or name the server with --server and --pin",
        ) from error
    except (ValueError, x509.ExtensionNotFound) as error:
        raise TrustError(
            "RW502",
            f"{path} is not a certificate of a server",
            "Start the server, which makes a new one, or name it with --server and --pin",
        ) from error
    pin = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
    return f"https://{address}:{port}", pin
