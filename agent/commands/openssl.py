"""openssl: a P-256 key, a certificate signing request, and signatures.

The system's own settings (openssl.cnf) have no say: they may be missing, or of another
version.

A command rather than a Python package, because an installed system has the
command and need not have a compiled Python extension. Windows has it the other way round: no
command, but the library that Python uses (``agent.commands.libcrypto``).
"""

import os
import sys
from pathlib import Path

from agent.commands.libcrypto import LibCrypto
from agent.commands.runner import run_command

_NAME = "rackwright-agent"
_NO_SETTINGS = {"OPENSSL_CONF": os.devnull}
_REQUEST_SETTINGS = b"[req]\ndistinguished_name=subject\n[subject]\n"
"""``openssl req`` wants to know which parts a subject has, also where it is told the subject."""


def make_key() -> bytes:
    """Return a fresh P-256 private key (PKCS #8, PEM); CodedError where OpenSSL fails."""
    if sys.platform == "win32":
        return LibCrypto().make_key()
    curve = "ec_paramgen_curve:P-256"
    line = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", curve]
    return run_command(line, environment=_NO_SETTINGS).stdout


def make_request(key: Path) -> bytes:
    """Return a signing request (RFC 2986, PEM) for ``key``; CodedError where OpenSSL fails.

    The server ignores the subject; ``openssl req`` wants one, and a file of settings. The
    Deploy-OS has no ``/dev/stdin``.
    """
    if sys.platform == "win32":
        return LibCrypto().make_request(key.read_bytes(), _NAME)
    line = ["openssl", "req", "-new", "-sha256", "-key", str(key), "-subj", f"/CN={_NAME}"]
    return run_command(
        [*line, "-config", "/proc/self/fd/0"],
        standard_input=_REQUEST_SETTINGS,
        environment=_NO_SETTINGS,
    ).stdout


def public_key(certificate: bytes) -> bytes:
    """Return the public key of a certificate (PEM); CodedError where OpenSSL fails."""
    line = ["openssl", "x509", "-pubkey", "-noout"]
    return run_command(line, standard_input=certificate, environment=_NO_SETTINGS).stdout


def has_signed(key: Path, signature: Path, data: bytes) -> bool:
    """Return whether the public key in a file made the signature (of a SHA-256) of ``data``.

    CodedError where OpenSSL cannot be run.
    """
    line = ["openssl", "dgst", "-sha256", "-verify", str(key), "-signature", str(signature)]
    done = run_command(line, accept=None, standard_input=data, environment=_NO_SETTINGS)
    return done.status == 0
