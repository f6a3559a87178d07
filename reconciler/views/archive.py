"""Files in one archive: tar, compressed with zstandard."""

import tarfile
from collections.abc import Iterable
from io import BytesIO


def archive(folder: str, files: Iterable[tuple[str, bytes]], at: int) -> bytes:
    """Return an archive of files below ``folder``, all with the time ``at``: seconds since 1970.

    Equal files give equal bytes.
    """
    import zstandard  # noqa: PLC0415 - few commands need it

    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files:
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mtime, entry.mode = len(content), at, 0o600
            tar.addfile(entry, BytesIO(content))
    return zstandard.ZstdCompressor().compress(packed.getvalue())
