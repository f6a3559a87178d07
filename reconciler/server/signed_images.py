"""The server's part in signatures of images: it signs captures, and hands out what is good."""

from collections.abc import Callable
from datetime import datetime

from providers.imaging.image_signature import require_signed
from providers.imaging.store import ChunkStore
from reconciler.trust.authority import Authority


class SignedImages:
    """Signs what was captured, and says what may be restored.

    ``is_required`` is whether an image without a signature may not.
    """

    def __init__(
        self, store: ChunkStore, authority: Authority, is_required: Callable[[], bool]
    ) -> None:
        self._store = store
        self._authority = authority
        self._is_required = is_required

    def sign(self, digest: str, now: datetime) -> None:
        """Sign an image whose chunks were read just now, unless the present key has signed it."""
        signature = self._store.signature_of(digest)
        checked = self._authority.image_keys.check(digest, signature)
        if checked.state != "good" or checked.key != self._authority.key_id:
            self._store.record_signature(digest, self._authority.sign_image(digest, now))

    def require_good(self, digest: str) -> None:
        """Raise SignatureError where no agent may have the manifest of an image."""
        checked = self._authority.image_keys.check(digest, self._store.signature_of(digest))
        require_signed(digest, checked, required=self._is_required())
