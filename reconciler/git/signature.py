"""What a commit's signature is and what the verifying programs say of it. Pure."""

import re
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import NamedTuple

from specs.fleet import CompiledSigner

_SHA1_DIGITS = 40
_LISTED_KEY = re.compile(
    r'^Good "git" signature for signer-([0-9]+) with \S+ key (\S+)$', re.MULTILINE
)
_OTHER_KEY = re.compile(r'^Good "git" signature with \S+ key (\S+)$', re.MULTILINE)
_GPG = "[GNUPG:] "
_NOT_VALID = frozenset({"BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG"})
_BEGINNINGS = {
    b"-----BEGIN SSH SIGNATURE-----": "ssh",
    b"-----BEGIN PGP SIGNATURE-----": "gpg",
    b"-----BEGIN PGP MESSAGE-----": "gpg",
    b"-----BEGIN SIGNED MESSAGE-----": "x509",
}


class Finding(Enum):
    """What came of verifying one commit; only ``GOOD`` makes it valid."""

    GOOD = auto()
    UNSIGNED = auto()
    OTHER_KIND = auto()
    UNKNOWN_KEY = auto()
    DAMAGED = auto()
    EXPIRED = auto()
    REVOKED = auto()


class Verdict(NamedTuple):
    """A finding with what is known of who signed."""

    finding: Finding
    signer: str = ""
    """The listed signer's name, where the key is a listed one."""
    key: str = ""
    """What names the key for people: an SSH fingerprint, an OpenPGP key id."""


def signature_kind(object_id: str, commit: bytes) -> str:
    """Return ``ssh``, ``gpg``, ``x509``, ``unknown``, or nothing for a commit without signature.

    ``commit`` is a commit in ``git cat-file commit`` form. A repository's signatures
    stand in the header of its object format (gitformat-signature(5)).
    """
    header = b"gpgsig " if len(object_id) == _SHA1_DIGITS else b"gpgsig-sha256 "
    for line in commit.partition(b"\n\n")[0].split(b"\n"):
        if line.startswith(header):
            return _BEGINNINGS.get(line.removeprefix(header).strip(), "unknown")
    return ""


def tag_signature_kind(tag: bytes) -> str:
    """Return the kind of a tag's signature, as ``signature_kind`` does for a commit.

    ``tag`` is a tag in ``git cat-file tag`` form: its signature ends it (gitformat-signature(5)).
    """
    kinds = [_BEGINNINGS[line] for line in tag.split(b"\n") if line in _BEGINNINGS]
    return kinds[-1] if kinds else ""


def allowed_signers(signers: Sequence[CompiledSigner]) -> str:
    """Return the signers in the form of ssh-keygen(1), "ALLOWED SIGNERS".

    Principals are numbers: a name from a document could be a pattern there. The
    namespace keeps a signature that was made for something else, say a file, from
    passing for one of a commit.
    """
    return "".join(
        f'signer-{number} namespaces="git" {signer.key}\n' for number, signer in enumerate(signers)
    )


def read_ssh_verdict(status: int, said: str, signers: Sequence[CompiledSigner]) -> Verdict:
    """Return what ssh-keygen found, with the signers of ``allowed_signers``."""
    good = _LISTED_KEY.search(said)
    if status == 0:
        number = int(good[1]) if good else len(signers)
        if good and number < len(signers):
            return Verdict(Finding.GOOD, signers[number].name, good[2])
        return Verdict(Finding.DAMAGED)
    unknown = _OTHER_KEY.search(said)
    if unknown and not good:
        return Verdict(Finding.UNKNOWN_KEY, key=unknown[1])
    return Verdict(Finding.DAMAGED)


def read_gpg_verdict(status: int, said: str, signers: Mapping[str, str]) -> Verdict:
    """Return what gpg found; ``signers`` maps primary keys' fingerprints to names.

    The lines are those of GnuPG's doc/DETAILS, "Format of the --status-fd output".
    Signed twice is not valid: one of the two could be anybody's.
    """
    lines = [line.removeprefix(_GPG).split() for line in said.splitlines() if line.startswith(_GPG)]
    found = {fields[0]: fields[1:] for fields in lines if fields}
    keywords = [fields[0] for fields in lines if fields]
    primary = found["VALIDSIG"][-1] if found.get("VALIDSIG") else ""
    signer = signers.get(primary, "")
    if (
        status == 0
        and signer
        and keywords.count("GOODSIG") == keywords.count("VALIDSIG") == 1
        and not _NOT_VALID & set(keywords)
    ):
        return Verdict(Finding.GOOD, signer, _key_id(found, "GOODSIG"))
    if "BADSIG" in found:
        return Verdict(Finding.DAMAGED, key=_key_id(found, "BADSIG"))
    if "REVKEYSIG" in found:
        return Verdict(Finding.REVOKED, signer, _key_id(found, "REVKEYSIG"))
    for keyword in ("EXPKEYSIG", "EXPSIG"):
        if keyword in found:
            return Verdict(Finding.EXPIRED, signer, _key_id(found, keyword))
    if "NO_PUBKEY" in found:
        return Verdict(Finding.UNKNOWN_KEY, key=_key_id(found, "NO_PUBKEY"))
    return Verdict(Finding.DAMAGED)


def _key_id(found: Mapping[str, Sequence[str]], keyword: str) -> str:
    return next(iter(found[keyword]), "")
