"""sfdisk: whether a partition table with 512-byte sectors is consistent.

For a regular file sfdisk assumes 512-byte sectors and cannot be told otherwise.
"""

from pathlib import Path

from providers.imaging.checker import Outcome, run, summary

SECTOR_SIZE = 512
_GOOD = "No errors detected."


def arguments(disk: Path) -> list[str]:
    """Return the command that checks the table of a raw disk file."""
    return ["sfdisk", "--verify", str(disk)]


def judge(outcome: Outcome) -> str:
    """Return what is wrong.

    The exit code does not tell: sfdisk 2.38 ends with 0 for an unknown table and
    for a corrupt backup GPT, and says so in words only.
    """
    words = outcome.output.lower()
    if outcome.code == 0 and _GOOD in outcome.output and "corrupt" not in words:
        return ""
    return summary("sfdisk", outcome)


def check(disk: Path) -> str:
    """Return what is wrong with the disk's partition table, empty if nothing."""
    return run(arguments(disk), judge)
