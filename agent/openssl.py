"""The ``openssl`` command: a P-256 key and a certificate signing request.

A command rather than a Python package, because an installed system has the
command and need not have a compiled Python extension.
"""

import os
from pathlib import Path

from agent.command import run_command


def key_arguments(key: Path) -> list[str]:
    """Return the command that writes a fresh P-256 private key (PKCS #8, PEM)."""
    return [
        "openssl",
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-out",
        str(key),
    ]


def request_arguments(key: Path, request: Path) -> list[str]:
    """Return the command that writes a signing request (RFC 2986, PEM) for a key.

    The server ignores the subject; ``openssl req`` wants one.
    """
    return [
        "openssl",
        "req",
        "-new",
        "-sha256",
        "-key",
        str(key),
        "-subj",
        "/CN=rackwright-agent",
        "-out",
        str(request),
    ]


def make_key(key: Path) -> None:
    """Write a fresh private key with mode 0600; CommandError where openssl fails.

    The file exists with its mode before openssl writes into it, so that the key is
    at no moment readable by others.
    """
    key.unlink(missing_ok=True)
    os.close(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    run_command(key_arguments(key))


def make_request(key: Path, request: Path) -> None:
    """Write the signing request for ``key``; CommandError where openssl fails."""
    run_command(request_arguments(key, request))
