"""fsck.fat: whether a FAT file system is intact."""

from pathlib import Path

from providers.imaging.checker import Outcome, run, summary


def arguments(volume: Path) -> list[str]:
    """Return the command that checks a file holding the file system and changes nothing."""
    return ["fsck.fat", "-n", str(volume)]


def judge(outcome: Outcome) -> str:
    """Return what is wrong. fsck.fat(8): 0 means no errors."""
    return "" if outcome.code == 0 else summary("fsck.fat", outcome)


def check(volume: Path) -> str:
    """Return what is wrong with the file system in ``volume``, empty if nothing."""
    return run(arguments(volume), judge)
