"""openssl: a P-256 key and a certificate signing request.

A command rather than a Python package, because an installed system has the
command and need not have a compiled Python extension.
"""

from pathlib import Path

from agent.commands.runner import run_command


def make_key() -> bytes:
    """Return a fresh P-256 private key (PKCS #8, PEM); CommandError where openssl fails."""
    curve = "ec_paramgen_curve:P-256"
    return run_command(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", curve]).stdout


def make_request(key: Path) -> bytes:
    """Return a signing request (RFC 2986, PEM) for ``key``; CommandError where openssl fails.

    The server ignores the subject; ``openssl req`` wants one.
    """
    subject = ["-subj", "/CN=rackwright-agent"]
    return run_command(["openssl", "req", "-new", "-sha256", "-key", str(key), *subject]).stdout
