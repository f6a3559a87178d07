"""How a commit continues an earlier one, and what the commits between say of signers."""

from reconciler.errors import SourceError
from reconciler.source.acceptance import Lineage, SignedRevision
from reconciler.source.commit import blob_contents, commit_of, wanted_blobs
from reconciler.source.repository import Repository


class RevisionReader:
    """Reads what commits say of signers.

    What one commit has unchanged from another that was read is not read again.
    """

    def __init__(self, repository: Repository) -> None:
        self._git = repository.git
        self._folder = repository.folder
        self._read: dict[str, bytes] = {}
        """Blobs that may hold a Fleet document; of others only that they do not."""

    def read(self, commit: str) -> SignedRevision:
        """Return one commit; its policy is None where its files cannot be read."""
        from specs.compile import compile_commits  # noqa: PLC0415 - not where nothing was accepted

        about = commit_of(self._git, commit)
        try:
            files = self._files(commit)
        except SourceError:
            return SignedRevision(about, None)
        return SignedRevision(about, None if files is None else compile_commits(files))

    def trace(self, accepted: str, candidate: str) -> Lineage | None:
        """Return how ``candidate`` relates to ``accepted``; None when that one is not there.

        Raises ``SourceError`` as ``GitCommand``.
        """
        if self._git.commit_id(accepted) is None:
            return None
        start = self.read(accepted)
        if accepted == candidate:
            return Lineage("same", start)
        if line := self._git.descent(accepted, candidate):
            return Lineage("continues", start, tuple(self.read(commit) for commit in line[:-1]))
        return Lineage("goes back" if self._git.descent(candidate, accepted) else "differs", start)

    def _files(self, commit: str) -> dict[str, bytes] | None:
        from specs.compile import may_hold_fleet  # noqa: PLC0415 - likewise

        if not self._git.has_folder(commit, self._folder):
            return None
        blobs = wanted_blobs(self._git, list(self._git.entries(commit, self._folder)))
        new = {path: blob for path, blob in blobs.items() if blob not in self._read}
        for blob, content in blob_contents(self._git, new).items():
            self._read[blob] = content if may_hold_fleet(content) else b""
        return {path: content for path, blob in blobs.items() if (content := self._read[blob])}
