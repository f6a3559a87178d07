"""xfs_repair: whether an XFS file system is intact."""

from pathlib import Path

from providers.imaging.checker import Outcome, run, summary


def arguments(volume: Path) -> list[str]:
    """Return the command that checks a file holding the file system and changes nothing."""
    return ["xfs_repair", "-n", "-f", str(volume)]


def judge(outcome: Outcome) -> str:
    """Return what is wrong. xfs_repair(8): with -n, 1 means damage."""
    return "" if outcome.code == 0 else summary("xfs_repair", outcome)


def check(volume: Path) -> str:
    """Return what is wrong with the file system in ``volume``, empty if nothing."""
    return run(arguments(volume), judge)
