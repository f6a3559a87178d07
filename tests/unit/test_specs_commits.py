"""By whom commits must be signed, as the Fleet document says it."""

import base64
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.compile.fleet import compile_commits, compile_fleet
from specs.fleet import CompiledCommits, CompiledSigner
from specs.types.invalid_value import InvalidValue
from specs.types.signing_key import SSH_ALGORITHMS, _signing_key

ROOT = Path(__file__).parents[2]
HEAD = "apiVersion: rackwright/v1alpha1\nkind: Fleet\nmetadata: {name: f}\n"
IMAGE = "apiVersion: rackwright/v1alpha1\nkind: Image\nmetadata: {name: golden}\n"


def ssh_key(content: bytes = bytes(32), algorithm: str = "ssh-ed25519") -> str:
    name = algorithm.encode()
    blob = len(name).to_bytes(4, "big") + name + len(content).to_bytes(4, "big") + content
    return f"{algorithm} {base64.b64encode(blob).decode()}"


KEY, OTHER = ssh_key(), ssh_key(b"\1" * 32)
ARMOURED = """\
-----BEGIN PGP PUBLIC KEY BLOCK-----
Comment: Jane Doe

mDMEaSBlqBYJKwYBBAHaRw8BAQdA
=abcd
-----END PGP PUBLIC KEY BLOCK-----"""


def fleet(verify: str, *signers: tuple[str, str]) -> str:
    """Return a Fleet document; keys as YAML block text."""
    lines = [f"{HEAD}spec:\n  commits:\n    verify: {verify}\n"]
    if signers:
        lines.append("    signers:\n")
    for name, key in signers:
        text = key.replace("\n", "\n          ")
        lines.append(f"      - name: {name}\n        key: |\n          {text}\n")
    return "".join(lines)


def problems_of(text: str) -> list[str]:
    return [str(each) for each in compile_fleet({"f.yaml": text.encode()}, "r").diagnostics]


def commits_of(text: str) -> CompiledCommits:
    result = compile_fleet({"f.yaml": text.encode()}, "r")
    assert result.fleet is not None, result.diagnostics
    return result.fleet.settings.commits


def test_without_a_word_nothing_is_verified() -> None:
    assert commits_of(HEAD) == CompiledCommits("none", ())


def test_an_ssh_signer_is_compiled_without_the_comment_of_the_key() -> None:
    commits = commits_of(fleet("ssh", ("Jane Doe", f"{KEY} jane@example.org")))
    assert commits == CompiledCommits("ssh", (CompiledSigner("Jane Doe", KEY),))


def test_a_gpg_signer_is_compiled_with_the_whole_block() -> None:
    assert commits_of(fleet("gpg", ("Jane Doe", ARMOURED))).signers[0].key == ARMOURED


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("jane", "not a public key"),
        ("ssh-ed25519", "not a public key"),
        (ssh_key(algorithm="ssh-dss"), '"ssh-dss" is not a kind of key that signs commits'),
        (
            ssh_key(algorithm="ssh-ed25519-cert-v01@openssh.com"),
            '"ssh-ed25519-cert-v01@openssh.com" is not a kind of key that signs commits',
        ),
        (f"cert-authority {KEY}", "not a public key"),
        (f"* {KEY}", "not a public key"),
        (KEY[:-2], "the key is damaged: a part of it is not Base64"),
        (KEY[:-4], "the key is damaged: a part of it is missing"),
        (ssh_key(b""), "the key is damaged: a part of it is missing"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "the key is damaged: a part of it is missing"),
        ("ssh-ed25519 AAAA", "the key is damaged: its content is not of type ssh-ed25519"),
        (
            KEY.replace("ssh-ed25519", "ssh-rsa"),
            "the key is damaged: its content is not of type ssh-rsa",
        ),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA", "this is a private key"),
        (ARMOURED.replace("PUBLIC", "PRIVATE"), "this is a private key"),
        (
            "-----BEGIN PGP SIGNATURE-----\nAAAA",
            "the OpenPGP key is not one whole public key block",
        ),
        (ARMOURED[:-3], "the OpenPGP key is not one whole public key block"),
        (f"{ARMOURED}\n{ARMOURED}", "the key is damaged: a part of it is not Base64"),
        (ARMOURED.replace("mDME", "m*ME"), "the key is damaged: a part of it is not Base64"),
        (ARMOURED.replace("mDMEaSBlqBYJKwYBBAHaRw8BAQdA", ""), "the OpenPGP key is empty"),
        ("ssh-rsa " + "A" * 100_000, "the key has 100,008 characters, at most 100,000 are allowed"),
    ],
)
def test_what_is_no_public_key_is_refused(key: str, message: str) -> None:
    [problem] = problems_of(fleet("ssh", ("Jane", key)))
    assert problem.splitlines()[0].endswith(f"RW128 spec.commits.signers[0].key: {message}")


def test_a_private_key_is_not_repeated_and_its_owner_told_to_throw_it_away() -> None:
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0"
    [problem] = problems_of(fleet("ssh", ("Jane", key)))
    assert "c2VjcmV0" not in problem
    assert "take it out of the repository and its history, and never use it again" in problem


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (fleet("ssh"), "verify: ssh without signers: no commit would ever be valid"),
        (fleet("none", ("Jane", KEY)), "the signers have no effect: verify is none"),
        (
            fleet("gpg", ("Jane", KEY)),
            'the key of "Jane" is an OpenSSH key, but verify is gpg',
        ),
        (
            fleet("ssh", ("Jane", ARMOURED)),
            'the key of "Jane" is an OpenPGP key, but verify is ssh',
        ),
        (fleet("ssh", ("Jane", KEY), ("Jane", OTHER)), 'two signers are called "Jane"'),
        (fleet("ssh", ("Jane", KEY), ("Joe", f"{KEY} x")), '"Jane" and "Joe" have one key'),
    ],
)
def test_signers_that_do_not_fit_are_refused(text: str, message: str) -> None:
    [problem] = problems_of(text)
    assert f"RW128 spec.commits.signers: {message}" in problem


def test_the_documented_example_is_valid() -> None:
    text = (ROOT / "docs/reference/signed-commits.md").read_text("utf-8")
    example = text.partition("```yaml\n")[2].partition("```")[0]
    assert [each.name for each in commits_of(example).signers] == ["Jane Doe", "Joe Bloggs"]


@given(st.text(max_size=60) | st.text("AQab=+/ \n", max_size=60).map("ssh-ed25519 AAAA".__add__))
def test_what_is_no_key_ends_in_a_rejection_and_nothing_else(text: str) -> None:
    with suppress(InvalidValue):
        assert _signing_key(text).split()[0] in SSH_ALGORITHMS


def test_what_verify_may_be_is_listed() -> None:
    [problem] = problems_of(fleet("x509", ("Jane", KEY)))
    assert "spec.commits.verify" in problem
    assert "none, ssh" in problem.replace('"', "")


class TestTheFleetDocumentAlone:
    def test_it_is_found_whatever_the_other_documents_say(self) -> None:
        broken = "apiVersion: rackwright/v1alpha1\nkind: Machine\nmetadata: {name: A}\n"
        text = f"{broken}---\n{fleet('ssh', ('Jane', KEY))}"
        found = compile_commits({"deep/f.yaml": text.encode(), "x.yaml": b"{"})
        assert found == CompiledCommits("ssh", (CompiledSigner("Jane", KEY),))

    def test_it_is_found_however_its_kind_is_written(self) -> None:
        text = fleet("ssh", ("Jane", KEY)).replace("kind: Fleet", 'kind: "\\u0046leet"')
        assert compile_commits({"f.yaml": text.encode()}) == commits_of(text)
        assert commits_of(text).verify == "ssh"

    def test_without_one_nothing_is_verified(self) -> None:
        assert compile_commits({"i.yaml": IMAGE.encode()}) == CompiledCommits()

    def test_a_hidden_file_does_not_count(self) -> None:
        text = fleet("ssh", ("Jane", KEY)).encode()
        assert compile_commits({".github/f.yaml": text}) == CompiledCommits()

    @pytest.mark.parametrize(
        "text",
        [
            fleet("ssh"),
            fleet("ssh", ("Jane", KEY)) + "    sigers: []\n",
            f"{HEAD}---\n{HEAD}",
            f"{HEAD}spec: {{",
            HEAD.replace("v1alpha1", "v2"),
        ],
    )
    def test_one_with_a_mistake_says_nothing(self, text: str) -> None:
        assert compile_commits({"f.yaml": text.encode()}) is None
