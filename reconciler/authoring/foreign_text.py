"""Text files from elsewhere: which encoding, which characters."""

import codecs
import re

from reconciler.authoring.rewrite import AuthoringError

MAX_BYTES = 32 * 2**20
_UNASSIGNED = re.compile("[\x80-\x9f\uf8f0-\uf8f3]")
"""What Python makes of bytes that mean nothing in CP932."""


def foreign_text(file: str, data: bytes) -> str:
    """Return the text of a file in UTF-8, UTF-16 with its mark, or CP932; LF ends its lines.

    CP932 is what Windows calls Shift_JIS. Bytes that are UTF-8 are taken as UTF-8:
    Japanese text in CP932 is hardly ever that by chance. Raises AuthoringError RW937.
    """
    if len(data) > MAX_BYTES:
        raise AuthoringError(
            "RW937", f"{file} has more than {MAX_BYTES >> 20} MiB", "Split it into several files"
        )
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "cp932"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == "cp932" and _UNASSIGNED.search(text):
            continue
        return text.replace("\r\n", "\n").replace("\r", "\n")
    raise AuthoringError(
        "RW937",
        f"{file} is neither UTF-8 nor Shift_JIS (CP932)",
        "Save it as UTF-8",
    )
