"""Which machines hold the reboot lock, as people and programs read it."""

from datetime import datetime

from reconciler.state.reboot_locks import RebootLock
from reconciler.views.age import ago


def lock_line(each: RebootLock, now: datetime) -> str:
    """Return a lock for people, on one line."""
    group = f" of group {each.group}" if each.group else ""
    taken = f"taken {ago(each.since, now)} from {each.address}"
    return f"{each.machine}{group}: {taken}, id {each.client}"


def lock_document(each: RebootLock) -> dict[str, str]:
    """Return a lock as JSON has it."""
    return {
        "machine": each.machine,
        "group": each.group,
        "client": each.client,
        "address": each.address,
        "since": each.since.isoformat(),
    }
