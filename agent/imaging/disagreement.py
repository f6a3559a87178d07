"""Whether what is read of a disk is all that it holds. Pure.

Which blocks are used is known only for what was recognised. Where blkid or the kernel see
something else than the partition table that is read here, or something besides it, nothing is
left out of the image.
"""

from collections.abc import Collection

from agent.commands.blkid import Signature
from agent.imaging.extent import Extent
from agent.imaging.table import Table


def disagreement(table: Table, found: Signature, shown: Collection[Extent]) -> str:
    """Return why a disk has to be kept in full; empty where all agree.

    ``found`` is what blkid recognises on the whole disk, ``shown`` where the kernel has
    partitions, empty where it shows none: it may lack a parser, or the disk is a file. A disk
    without a table is not judged by ``found``, which then says what is on it.
    """
    if table.kind == "none":
        return "Linux has partitions on it, from a table that is not known here" if shown else ""
    if found.several:
        return several(found)
    if found.filesystem or found.table != table.kind:
        seen = found.filesystem or _named(found.table)
        return f"it holds {_named(table.kind)}, but blkid recognises {seen or 'nothing'}"
    logical_records = {region.offset for region in table.regions if region.kind == "ebr"}
    partitions = {part for part in shown if part.offset not in logical_records}
    if partitions and partitions != {slot.extent for slot in table.slots}:
        return f"its {table.kind} partition table and the partitions that Linux has differ"
    return ""


def several(found: Signature) -> str:
    """Return ``it holds more than one thing: swap, mbr partition table``."""
    return f"it holds more than one thing: {', '.join(found.several)}"


def _named(table: str) -> str:
    return f"{table} partition table" if table else ""
