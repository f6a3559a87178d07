"""Verifying a commit's signature with the keys of a list and nothing else."""

import shutil
import tempfile
from pathlib import Path

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
)
from reconciler.git.tree import MAX_FILE_BYTES
from specs.fleet import CompiledCommits

_PROGRAMS = {"ssh": ("ssh-keygen", "openssh-client"), "gpg": ("gpg", "gnupg")}


def check_signature(git: GitCommand, commit: str, policy: CompiledCommits) -> Verdict:
    """Return whether one of the policy's signers signed ``commit``; ``verify`` is not none.

    Keys are judged at the present time, not at that of the commit, which is what its
    author says. Raises ``SourceError`` RW737 when the program that verifies is not
    installed, RW738 when gpg cannot use a listed key, RW710 and RW717 as
    ``GitCommand``.
    """
    [(object_id, content)] = git.objects([commit], MAX_FILE_BYTES)
    kind = signature_kind(object_id, content)
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
        return check(git, commit, policy, Path(directory))


def _check_ssh(git: GitCommand, commit: str, policy: CompiledCommits, directory: Path) -> Verdict:
    allowed = directory / "allowed_signers"
    allowed.write_text(allowed_signers(policy.signers), encoding="ascii")
    status, said = git.verify_commit(
        commit, [*_programs(ssh="ssh-keygen"), f"gpg.ssh.allowedSignersFile={allowed}"], {}
    )
    return read_ssh_verdict(status, said, policy.signers)


def _check_gpg(git: GitCommand, commit: str, policy: CompiledCommits, directory: Path) -> Verdict:
    home = directory / "gnupg"
    make_home(home)
    signers = {
        fingerprint: signer.name
        for signer in policy.signers
        for fingerprint in import_key(home, signer)
    }
    status, said = git.verify_commit(
        commit,
        [*_programs(gpg="gpg"), "gpg.minTrustLevel=undefined"],
        {"GNUPGHOME": str(home)},
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
