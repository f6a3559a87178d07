"""What a machine says of one attempt beside its events: whole texts, compressed with zstandard.

``PUT /v1/operations/{operation}/evidence/{attempt}/{name}`` brings one; a newer text replaces it.
"""

from typing import Literal, get_args

EvidenceName = Literal["agent", "dmesg", "disks", "smart", "system"]
"""The agent's log, the kernel's, the disks before and after, SMART, the Deploy-OS itself."""

EVIDENCE_NAMES: tuple[EvidenceName, ...] = get_args(EvidenceName)
MOST_TEXT = 512 << 10
"""Bytes of one text; what is longer loses its middle."""
MOST_PACKED = 640 << 10
"""Bytes of one text compressed: zstandard makes nothing much larger."""
