"""From what smartctl prints to a few facts. Pure.

Its wording differs by the kind of disk: ATA, SCSI and NVMe.
"""

import re
from typing import NamedTuple

_HEALTH = re.compile(
    r"^(?:SMART overall-health self-assessment test result|SMART Health Status):\s*(.+)$",
    re.MULTILINE,
)
_GOOD = frozenset({"PASSED", "OK"})
_HOURS = (
    re.compile(r"^\s*9 Power_On_Hours\s.*\s(\d+)(?:h\+\S*)?(?:\s\(.*\))?\s*$", re.MULTILINE),
    re.compile(r"^Power On Hours:\s+([\d,]+)", re.MULTILINE),
    re.compile(r"number of hours powered up = (\d+)"),
    re.compile(r"^\s*Accumulated power on time, hours:minutes (\d+):", re.MULTILINE),
)
_DEFECTS = (
    re.compile(r"^\s*5 Reallocated_Sector_Ct\s.*\s(\d+)(?:\s\(.*\))?\s*$", re.MULTILINE),
    re.compile(r"^Media and Data Integrity Errors:\s+([\d,]+)", re.MULTILINE),
    re.compile(r"^Elements in grown defect list:\s+(\d+)", re.MULTILINE),
)
_WORN = (re.compile(r"^Percentage Used:\s+(\d+)%", re.MULTILINE),)
NOT_KNOWN = -1


class SmartSummary(NamedTuple):
    """What matters of it; -1 is not known."""

    health: str = ""
    hours: int = NOT_KNOWN
    defects: int = NOT_KNOWN
    worn: int = NOT_KNOWN


def parse_health(text: str) -> SmartSummary:
    """Return what ``smartctl --xall`` says, in any of its wordings."""
    said = _HEALTH.search(text)
    health = "" if said is None else "passed" if said[1].strip() in _GOOD else "failed"
    return SmartSummary(
        health, _number(_HOURS, text), _number(_DEFECTS, text), _number(_WORN, text)
    )


def _number(patterns: tuple[re.Pattern[str], ...], text: str) -> int:
    for pattern in patterns:
        found = pattern.search(text)
        if found is not None:
            return int(found[1].replace(",", ""))
    return NOT_KNOWN
