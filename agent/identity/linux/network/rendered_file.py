"""One configuration file as it shall be."""

from attrs import frozen

PRIVATE = 0o600
PUBLIC = 0o644


@frozen
class RenderedFile:
    """Content and permissions of a file."""

    content: str
    mode: int = PUBLIC


Rendered = dict[str, RenderedFile]
"""By absolute path in the restored system."""
