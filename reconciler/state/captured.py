"""Reading which images operations brought in."""

from reconciler.state.observed import Capture
from reconciler.state.rows import Rows

_CAPTURES = "SELECT op_id, image, manifest, proof FROM capture"


def captured(database: Rows) -> tuple[Capture, ...]:
    """Return every capture."""
    [rows] = database.rows(_CAPTURES)
    return tuple(Capture(*row) for row in rows)
