"""Which releases an agent trusts: what the authority that it has pinned has signed."""

import platform
import re
import shutil
from pathlib import Path

from agent.commands import openssl
from agent.errors import CommandError, TerminalError
from agent.upgrade.places import serves, version_order
from agent.whole_file import write_atomically
from agent.wire.agent_release import SIGNED_PREFIX, AgentRelease, ReleaseManifest
from agent.wire.codec import WireError, decode

_CERTIFICATE = re.compile(
    rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL
)  # RFC 7468, section 5
_MODE = 0o600
_ADD = "Add a release to the server: `rackwright agent release add`"
SCRATCH = "upgrade"
"""A folder in the state directory, for files that OpenSSL reads."""


def verified(release: AgentRelease, authority: Path, state: Path) -> ReleaseManifest:
    """Return the manifest once a key of the certificates in ``authority`` is seen to have signed.

    Scratch files are made in ``state``. TerminalError RW605 where none has, or what is signed is
    no manifest; UnwritableFileError RW572, MissingCommandError RW566.
    """
    signed = SIGNED_PREFIX + release.manifest.encode()
    folder = state / SCRATCH
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        key, signature = folder / "key", folder / "signature"
        write_atomically(signature, bytes.fromhex(release.signature), _MODE)
        for certificate in _CERTIFICATE.findall(authority.read_bytes()):
            try:
                write_atomically(key, openssl.public_key(certificate), _MODE)
                if openssl.has_signed(key, signature, signed):
                    break
            except CommandError as error:
                if error.status is None:
                    raise
        else:
            raise _not_signed("no key of the authority that this agent trusts has signed it")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        return decode(ReleaseManifest, release.manifest.encode())
    except WireError as error:
        raise _not_signed(f"what was signed is {error}") from error


def require_sent(release: AgentRelease | None, wanted: str) -> AgentRelease:
    """Return the release that came with the work; TerminalError RW606 where none did."""
    if release is None:
        raise TerminalError("RW606", f"the server sent no release of {wanted}", _ADD)
    return release


def require_fitting(
    manifest: ReleaseManifest, wanted: str, running: str, machine: str | None = None
) -> None:
    """Raise TerminalError RW606 where a release is not what was asked for, or not for this machine.

    ``running`` is the version of this agent: an older one never takes its place. ``machine`` is
    the architecture, that of this machine where it is not given.
    """
    machine = machine or platform.machine()
    version = manifest.version
    if manifest.architecture != machine:
        cause = f"the release {version} is for {manifest.architecture}, this machine is {machine}"
    elif version_order(version) <= version_order(running):
        cause = f"the release {version} is not newer than this agent, {running}"
    elif not serves(version, wanted):
        cause = f"the release {version} is older than {wanted}, which was asked for"
    else:
        return
    raise TerminalError("RW606", cause, _ADD)


def _not_signed(cause: str) -> TerminalError:
    return TerminalError(
        "RW605",
        f"the agent's release is not trusted: {cause}",
        "If the authority's key was rolled over, try again once the agent has renewed its "
        "certificate (`rackwright agent ls`); else find out who changed the release",
    )
