"""Updates as data."""

from datetime import datetime

from agent.wire.package import PackageResult
from reconciler.planning.update_coverage import PolicyCoverage
from reconciler.state.update_status import UpdateResult, UpdateStatus


def policy_document(covered: PolicyCoverage) -> dict[str, object]:
    """Return a policy with where its machines stand."""
    return {
        "policy": covered.policy.name,
        "machines": covered.machines,
        "packages": [
            {
                "name": each.package.name,
                "version": each.package.version,
                "bulletin": each.package.bulletin,
                "have": each.have,
                "wanted": each.wanted,
                "otherSystems": each.others,
                "waiting": [{"why": one.why, "machines": list(one.machines)} for one in each.rest],
            }
            for each in covered.packages
        ],
    }


def status_document(status: UpdateStatus) -> dict[str, object]:
    """Return what a machine said last."""
    return {
        "at": status.at.isoformat(),
        "policy": status.policy,
        "phase": status.phase,
        "why": status.why,
        "code": status.code,
        "since": _time(status.since),
        "checked": _time(status.checked),
        "nextCheck": _time(status.next_check),
        "packages": [result_document(each) for each in status.results],
    }


def history_document(past: UpdateResult) -> dict[str, object]:
    """Return what became of a package in one check."""
    return {"at": past.at.isoformat(), "check": past.run, **result_document(past.result)}


def result_document(result: PackageResult) -> dict[str, object]:
    """Return what became of a package."""
    return {
        "package": result.name,
        "version": result.version,
        "state": result.state,
        "code": result.code,
        "cause": result.cause,
        "exitStatus": result.status,
        "seconds": result.seconds,
        "output": result.output,
        "versionBefore": result.version_before,
        "versionAfter": result.version_after,
        "wantsRestart": result.reboot,
        "attempts": result.attempts,
        "stalled": result.stalled,
    }


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
