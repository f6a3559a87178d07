"""Signing images on the command line, and what their signatures are worth."""

from collections.abc import Collection
from typing import NamedTuple

from providers.imaging.image_signature import CheckedSignature
from providers.imaging.reference import find_image
from providers.imaging.verification import Progress
from reconciler.app.agents import Word
from reconciler.app.cancel import require_keepable
from reconciler.app.images import Findings, verify
from reconciler.app.project import Project
from reconciler.errors import ReconcilerError
from reconciler.state.image_events import ImageEvent, ImageEvents
from reconciler.trust.authority import Authority
from reconciler.trust.image_keys import ImageKeys


class SignedNow(NamedTuple):
    """What became of images that were to be signed; all are digests."""

    already: tuple[str, ...]
    """The key that signs now has signed them before: they were not read."""
    left: dict[str, str]
    """Images of the store that have a bad signature, and were not named; why it is bad."""
    signed: tuple[str, ...]
    findings: Findings | None
    """What reading them found; None where none was read."""
    damaged: tuple[str, ...]
    """Those that are not signed because of it."""


def checked_signatures(project: Project, digests: Collection[str]) -> dict[str, CheckedSignature]:
    """Return what the signatures of images are worth; TrustError where keys cannot be read."""
    keys, store = ImageKeys.read(project.state / "trust"), project.store
    return {digest: keys.check(digest, store.signature_of(digest)) for digest in sorted(digests)}


def sign_images(
    project: Project,
    references: Collection[str],
    word: Word,
    progress: Progress,
    *,
    everything: bool,
) -> SignedNow:
    """Read every chunk of some images, or of all, and sign those that are whole.

    With ``everything`` those with a bad signature are left: a person has to look at each.
    Raises as ``verify``, and TrustError where the authority's key cannot be used.
    """
    require_keepable(word.reason)
    if bool(references) == everything:
        raise ReconcilerError(
            "RW993", "no image is named, or some are and --all is said", "Name images, or say --all"
        )
    project.require_state()
    authority = _authority(project, word)
    store = project.store
    wanted = {find_image(store, each).digest for each in references} or store.image_digests()
    checked = checked_signatures(project, wanted)
    left = {
        digest: each.problem
        for digest, each in checked.items()
        if everything and each.state == "bad"
    }
    already = tuple(
        digest
        for digest, each in checked.items()
        if each.state == "good" and each.key == authority.key_id
    )
    to_sign = sorted(wanted - left.keys() - set(already))
    if not to_sign:
        return SignedNow(already, left, (), None, ())
    findings = verify(project, to_sign, word, progress, everything=False)
    bad = {each.image for each in findings.verified.damages}
    signed = tuple(digest for digest in to_sign if digest not in bad)
    for digest in signed:
        store.record_signature(digest, authority.sign_image(digest, word.at))
        ImageEvents(project.database).record(
            ImageEvent("sign", digest, "", word.at, word.actor, word.reason)
        )
    return SignedNow(already, left, signed, findings, tuple(sorted(bad & set(to_sign))))


def _authority(project: Project, word: Word) -> Authority:
    return Authority.load_or_create(project.state / "trust", word.at)
