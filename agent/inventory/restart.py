"""Whether an installed Linux system waits for a restart, and why."""

import re
from collections.abc import Iterable
from pathlib import Path

_MOST_PACKAGES = 100
_PARTS = re.compile(r"\d+|[a-z]+")
_VERSION = re.compile(r"[\d._]+")


def restart_reasons(root: Path, running: str) -> list[str]:
    """Return why: what packages left in ``/run``, and a newer kernel than the running one."""
    reasons = []
    flag = root / "run/reboot-required"
    if flag.exists():
        try:
            text = Path(f"{flag}.pkgs").read_text("utf-8", errors="replace")
        except OSError:
            text = ""
        packages = sorted({line.strip() for line in text.splitlines() if line.strip()})
        reasons += [f"asked for by {each}" for each in packages[:_MOST_PACKAGES]]
        reasons += [] if packages else ["asked for by a package"]
    newest = newer_kernel(running, installed_kernels(root))
    if newest:
        reasons.append(f"kernel {newest} is installed")
    return reasons


def installed_kernels(root: Path) -> list[str]:
    """Return the releases of the kernels that are there with their modules."""
    try:
        releases = [each.name for each in (root / "lib/modules").iterdir()]
    except OSError:
        return []
    return [
        each
        for each in releases
        if (root / f"boot/vmlinuz-{each}").exists()
        or (root / f"lib/modules/{each}/vmlinuz").exists()
    ]


def newer_kernel(running: str, installed: Iterable[str]) -> str:
    """Return the newest kernel of the running one's flavour, empty where that is what runs.

    A kernel of another flavour (``-rt-amd64`` beside ``-amd64``) is an administrator's choice.
    """
    same = [each for each in installed if _flavour(each) == _flavour(running)]
    newest = max([running, *same], key=_order)
    return "" if _order(newest) == _order(running) else newest


def _flavour(release: str) -> str:
    return _VERSION.sub("#", release)


def _order(release: str) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isdigit() else (-1, part)
        for part in _PARTS.findall(release.lower())
    ]
