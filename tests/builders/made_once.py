"""What tests make once and keep: two that need it at the same moment make it once."""

import shutil
from collections.abc import Callable
from fcntl import LOCK_EX, flock
from pathlib import Path


def made_once(place: Path, make: Callable[[Path], object]) -> Path:
    """Return a file or folder, made where it is missing; ``make`` gets the path to make it at."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f"{place.name}.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not place.exists():
            new = place.with_name(f"new-{place.name}")
            shutil.rmtree(new, ignore_errors=True)
            make(new)
            new.rename(place)
    return place
