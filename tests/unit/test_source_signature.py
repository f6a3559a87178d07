"""What git, ssh-keygen and gpg print of signatures, in words of ours; captured from Debian 12."""

import pytest

from reconciler.git.gpg_command import imported_fingerprints
from reconciler.git.signature import (
    Finding,
    Verdict,
    allowed_signers,
    read_gpg_verdict,
    read_ssh_verdict,
    signature_kind,
)
from specs.fleet import CompiledSigner

JANE = CompiledSigner("Jane Doe", "ssh-ed25519 AAAAjane")
JOE = CompiledSigner("*,!joe namespaces=file", "ssh-ed25519 AAAAjoe")
SHA1, SHA256 = "a" * 40, "a" * 64

FINGERPRINT = "C14671161303B3D8CC351E28BA2CAD4326DE5798"
SSH_KEY = "SHA256:oAWous2tkHf9XOwdOZj/nPlTdHF0aO8DECv0kpmCs48"
GOOD_GPG = f"""\
[GNUPG:] NEWSIG jane@example.org
[GNUPG:] KEY_CONSIDERED {FINGERPRINT} 0
[GNUPG:] SIG_ID hOwI4p82Ee5XRb/Ld1md+eiUAd8 2026-11-21 1795262745
[GNUPG:] GOODSIG BA2CAD4326DE5798 Jane <jane@example.org>
[GNUPG:] VALIDSIG {FINGERPRINT} 2026-11-21 1795262745 0 4 0 22 8 00 {FINGERPRINT}
[GNUPG:] TRUST_FULLY 0 always"""


def commit(*header: str) -> bytes:
    lines = [f"tree {SHA1}", "author Jane <j@example.org> 1 +0000", *header]
    return ("\n".join(lines) + "\n\nSubject\n\ngpgsig -----BEGIN SSH SIGNATURE-----\n").encode()


class TestKind:
    @pytest.mark.parametrize(
        ("header", "kind"),
        [
            ("gpgsig -----BEGIN SSH SIGNATURE-----\n abc", "ssh"),
            ("gpgsig -----BEGIN PGP SIGNATURE-----\n abc", "gpg"),
            ("gpgsig -----BEGIN PGP MESSAGE-----\n abc", "gpg"),
            ("gpgsig -----BEGIN SIGNED MESSAGE-----\n abc", "x509"),
            ("gpgsig abc", "unknown"),
            ("encoding utf-8", ""),
            # Only the header of the repository's own object format counts.
            ("gpgsig-sha256 -----BEGIN SSH SIGNATURE-----\n abc", ""),
            # What another header holds is no signature of this commit.
            (f"mergetag object {SHA1}\n gpgsig -----BEGIN SSH SIGNATURE-----", ""),
        ],
    )
    def test_it_is_read_from_the_header_and_not_from_the_message(
        self, header: str, kind: str
    ) -> None:
        assert signature_kind(SHA1, commit(header)) == kind

    def test_a_sha256_repository_has_a_header_of_its_own(self) -> None:
        signed = commit("gpgsig-sha256 -----BEGIN SSH SIGNATURE-----\n abc")
        assert signature_kind(SHA256, signed) == "ssh"
        assert not signature_kind(SHA256, commit("gpgsig -----BEGIN SSH SIGNATURE-----\n abc"))


class TestSsh:
    def test_a_name_cannot_become_a_pattern_or_an_option(self) -> None:
        assert allowed_signers([JANE, JOE]) == (
            'signer-0 namespaces="git" ssh-ed25519 AAAAjane\n'
            'signer-1 namespaces="git" ssh-ed25519 AAAAjoe\n'
        )

    def test_a_good_signature_names_its_signer_and_the_key(self) -> None:
        said = f'Good "git" signature for signer-1 with ED25519 key {SSH_KEY}'
        assert read_ssh_verdict(0, said, [JANE, JOE]) == Verdict(Finding.GOOD, JOE.name, SSH_KEY)

    @pytest.mark.parametrize(
        ("status", "said"),
        [
            (0, ""),
            (0, f'Good "git" signature for signer-2 with ED25519 key {SSH_KEY}'),
            (0, f'Good "git" signature with ED25519 key {SSH_KEY}'),
            (0, f'x Good "git" signature for signer-0 with ED25519 key {SSH_KEY}'),
            (0, f'Good "file" signature for signer-0 with ED25519 key {SSH_KEY}'),
            (1, f'Good "git" signature for signer-0 with ED25519 key {SSH_KEY}'),
            (1, "Could not verify signature.\nSignature verification failed: incorrect signature"),
            (1, "Couldn't verify signature: namespace does not match"),
            (-9, ""),
        ],
    )
    def test_whatever_is_not_clearly_good_is_not_good(self, status: int, said: str) -> None:
        assert read_ssh_verdict(status, said, [JANE, JOE]) == Verdict(Finding.DAMAGED)

    def test_a_key_that_is_not_listed_is_named(self) -> None:
        said = f'Good "git" signature with ED25519 key {SSH_KEY}\nNo principal matched.'
        assert read_ssh_verdict(1, said, [JANE]) == Verdict(Finding.UNKNOWN_KEY, key=SSH_KEY)


SIGNERS = {FINGERPRINT: "Jane Doe"}


class TestGpg:
    def test_a_good_signature_names_its_signer_and_the_key(self) -> None:
        verdict = read_gpg_verdict(0, GOOD_GPG, SIGNERS)
        assert verdict == Verdict(Finding.GOOD, "Jane Doe", "BA2CAD4326DE5798")

    def test_a_subkey_counts_for_its_primary_key(self) -> None:
        said = GOOD_GPG.replace(f"VALIDSIG {FINGERPRINT}", f"VALIDSIG {'F' * 40}")
        assert read_gpg_verdict(0, said, SIGNERS).finding is Finding.GOOD

    @pytest.mark.parametrize(
        ("status", "said", "finding"),
        [
            (1, GOOD_GPG, Finding.DAMAGED),
            (0, "", Finding.DAMAGED),
            (0, GOOD_GPG.replace("[GNUPG:] GOODSIG", "gpg: GOODSIG"), Finding.DAMAGED),
            (0, GOOD_GPG.replace("[GNUPG:] VALIDSIG", "gpg: VALIDSIG"), Finding.DAMAGED),
            (0, GOOD_GPG.replace(FINGERPRINT, "0" * 40), Finding.DAMAGED),
            (0, f"{GOOD_GPG}\n{GOOD_GPG}", Finding.DAMAGED),
            (0, f"{GOOD_GPG}\n[GNUPG:] BADSIG 0 Joe", Finding.DAMAGED),
            (0, f"{GOOD_GPG}\n[GNUPG:] EXPSIG 0 Joe", Finding.EXPIRED),
            (0, GOOD_GPG.replace("GOODSIG", "EXPKEYSIG"), Finding.EXPIRED),
            (0, GOOD_GPG.replace("GOODSIG", "REVKEYSIG"), Finding.REVOKED),
            (1, "[GNUPG:] BADSIG BA2CAD4326DE5798 Jane", Finding.DAMAGED),
            (1, "[GNUPG:] ERRSIG BA2CAD 22 8 00 1 9 -\n[GNUPG:] NO_PUBKEY BA", Finding.UNKNOWN_KEY),
            (1, "[GNUPG:] \n[GNUPG:] VALIDSIG\n[GNUPG:] BADSIG", Finding.DAMAGED),
        ],
    )
    def test_whatever_is_not_clearly_good_is_not_good(
        self, status: int, said: str, finding: Finding
    ) -> None:
        assert read_gpg_verdict(status, said, SIGNERS).finding is finding

    def test_the_owner_of_an_expired_key_is_named(self) -> None:
        verdict = read_gpg_verdict(1, GOOD_GPG.replace("GOODSIG", "EXPKEYSIG"), SIGNERS)
        assert (verdict.signer, verdict.key) == ("Jane Doe", "BA2CAD4326DE5798")

    def test_imported_keys_are_named_once_each(self) -> None:
        output = (
            f"[GNUPG:] KEY_CONSIDERED {FINGERPRINT} 0\n[GNUPG:] IMPORTED BA2CAD4326DE5798 Jane\n"
            f"[GNUPG:] IMPORT_OK 1 {FINGERPRINT}\n[GNUPG:] IMPORT_OK 0 {FINGERPRINT}\n"
            "[GNUPG:] IMPORT_RES 1 0 1 0 0 0 0 0 0 0 0 0 0 0 0\n"
        )
        assert imported_fingerprints(output) == (FINGERPRINT,)
