"""The signature of an image by the server's certification authority, and what is known of it.

Who has the keys makes and checks it (``reconciler.trust.image_keys``).
"""

from typing import Literal

from attrs import frozen

from providers.imaging.errors import SignatureError

SignatureState = Literal["good", "none", "bad"]


@frozen
class ImageSignature:
    """What lies beside a manifest. All empty: the file is there, and damaged."""

    key: str
    """The id of the key that signed: SHA-1 of its public half in hex (RFC 5280, 4.2.1.2)."""
    at: str
    """ISO 8601, UTC; it is signed, too."""
    signature: str
    """ECDSA with SHA-256 in DER, as hex."""


@frozen
class CheckedSignature:
    """What a signature is worth here.

    ``good`` by a key of this authority; ``none`` without one, or with one by a key that was
    retired; ``bad`` where it does not fit.
    """

    state: SignatureState
    key: str = ""
    at: str = ""
    problem: str = ""
    """Why it is not good, as a clause; empty where it is, and where there is none."""

    @property
    def said(self) -> str:
        """Return it for a line of text."""
        if self.state == "good":
            return f"by this server's authority, key {self.key[:12]}, at {self.at}"
        return self.problem or "not signed"


def why_refused(checked: CheckedSignature, *, required: bool) -> str:
    """Return why an image must not be restored, as a clause; empty where it may be."""
    if checked.state == "bad":
        return checked.problem
    if checked.state == "none" and required:
        said = checked.problem or "it is not signed"
        return f"{said}, and the Fleet document says `signatures: required`"
    return ""


def require_signed(digest: str, checked: CheckedSignature, *, required: bool) -> None:
    """Raise SignatureError where an image must not be restored."""
    refusal = why_refused(checked, required=required)
    if refusal:
        raise SignatureError(digest, refusal)
