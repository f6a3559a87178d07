"""The Update Framework's metadata over our own connections, and which file was asked for last."""

from collections.abc import Generator, Iterator
from urllib.parse import urlsplit

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface

from providers.content.errors import StatusError
from providers.content.web import Web

_NOT_THERE = frozenset({403, 404})
"""Statuses by which a client sees that there is no newer root metadata."""


class MetadataFetcher(FetcherInterface):
    """Fetches by ``web``; raises its ContentErrors, which pass the client as they are."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self.file = ""
        """The name of the file that was asked for last."""
        self.url = ""
        self._open: Generator[bytes, None, None] | None = None

    def close(self) -> None:
        """End the transfer that was left before its end."""
        if self._open is not None:
            self._open.close()

    def _fetch(self, url: str) -> Iterator[bytes]:
        self.close()
        self._open = self._pieces(url)
        return self._open

    def _pieces(self, url: str) -> Generator[bytes, None, None]:
        self.url = url
        self.file = urlsplit(url).path.rpartition("/")[2]
        try:
            with self._web.get(url) as answer:
                yield from answer.pieces()
        except StatusError as error:
            if error.status in _NOT_THERE:
                raise DownloadHTTPError(str(error), error.status) from error
            raise
