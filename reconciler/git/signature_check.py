"""Verifying the signature of a commit or a tag with the keys of a list and nothing else."""

import shutil
import tempfile
from pathlib import Path
from typing import Literal, NamedTuple

from reconciler.errors import SourceError
from reconciler.git.command import GitCommand
from reconciler.git.gpg_command import import_key, make_home
from reconciler.git.signature import (
    Finding,
    Verdict,
    allowed_signers,
    read_gpg_verdict,
    read_ssh_verdict,
    signature_kind,
    tag_signature_kind,
)
from reconciler.git.tree import MAX_FILE_BYTES
from specs.fleet import CompiledCommits

Signed = Literal["commit", "tag"]
_PROGRAMS = {"ssh": ("ssh-keygen", "openssh-client"), "gpg": ("gpg", "gnupg")}


def check_signature(
    git: GitCommand, signed: str, policy: CompiledCommits, what: Signed = "commit"
) -> Verdict:
    """Return whether one of the policy's signers signed a commit or a tag.

    ``verify`` is not none.

    Keys are judged at the present time, not at that of the commit, which is what its
    author says. Raises ``SourceError`` RW737 when the program that verifies is not
    installed, RW738 when gpg cannot use a listed key, RW710 and RW717 as
    ``GitCommand``.
    """
    [(object_id, content)] = git.objects([signed], MAX_FILE_BYTES)
    kind = tag_signature_kind(content) if what == "tag" else signature_kind(object_id, content)
    if kind != policy.verify:
        return Verdict(Finding.OTHER_KIND if kind else Finding.UNSIGNED)
    program, package = _PROGRAMS[policy.verify]
    if shutil.which(program) is None:
        raise SourceError(
            "RW737",
            f"the program {program}, which verifies commits, is not installed",
            f"Install it, on Debian with: apt install {package}",
        )
    with tempfile.TemporaryDirectory(prefix="rackwright-signers-") as directory:
        check = _check_ssh if policy.verify == "ssh" else _check_gpg
        return check(_Verifier(git, what, signed), policy, Path(directory))


class _Verifier(NamedTuple):
    """git, and what it is to verify."""

    git: GitCommand
    what: Signed
    signed: str

    def run(self, configuration: list[str], environment: dict[str, str]) -> tuple[int, str]:
        return self.git.verify(self.what, self.signed, configuration, environment)


def _check_ssh(verifier: _Verifier, policy: CompiledCommits, directory: Path) -> Verdict:
    allowed = directory / "allowed_signers"
    allowed.write_text(allowed_signers(policy.signers), encoding="ascii")
    status, said = verifier.run(
        [*_programs(ssh="ssh-keygen"), f"gpg.ssh.allowedSignersFile={allowed}"], {}
    )
    return read_ssh_verdict(status, said, policy.signers)


def _check_gpg(verifier: _Verifier, policy: CompiledCommits, directory: Path) -> Verdict:
    home = directory / "gnupg"
    make_home(home)
    signers = {
        fingerprint: signer.name
        for signer in policy.signers
        for fingerprint in import_key(home, signer)
    }
    status, said = verifier.run(
        [*_programs(gpg="gpg"), "gpg.minTrustLevel=undefined"], {"GNUPGHOME": str(home)}
    )
    return read_gpg_verdict(status, said, signers)


def _programs(ssh: str = "false", gpg: str = "false") -> list[str]:
    """Return the settings by which no program of the repository's choice is run."""
    return [
        f"gpg.ssh.program={ssh}",
        f"gpg.program={gpg}",
        f"gpg.openpgp.program={gpg}",
        "gpg.x509.program=false",
    ]
