"""openssl: a P-256 key and a certificate signing request.

A command rather than a Python package, because an installed system has the
command and need not have a compiled Python extension.
"""

from pathlib import Path

from agent.commands.runner import run_command


def key_arguments() -> list[str]:
    """Return the command that prints a fresh P-256 private key (PKCS #8, PEM)."""
    return [
        "openssl",
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ]


def request_arguments(key: Path) -> list[str]:
    """Return the command that prints a signing request (RFC 2986, PEM) for a key.

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
    ]


def make_key() -> bytes:
    """Return a fresh private key as PEM; CommandError where openssl fails."""
    return run_command(key_arguments()).stdout


def make_request(key: Path) -> bytes:
    """Return the signing request for ``key`` as PEM; CommandError where openssl fails."""
    return run_command(request_arguments(key)).stdout
