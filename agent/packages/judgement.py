"""What an installer's end means. Pure."""

from attrs import evolve, frozen

from agent.commands.ended import Ended
from agent.errors import CodedError, TerminalError, TransientError
from agent.wire.package import MOST_OUTPUT, PackageResult, WantedPackage


@frozen
class Evidence:
    """What is known after an installer has ended."""

    ended: Ended
    succeeded: bool
    """Whether its status is one of those that mean installed."""
    detected: bool
    wants_reboot: bool
    version_before: str
    version_after: str
    failure: CodedError | None
    """What the adapter makes of a failure."""


def judged(wanted: WantedPackage, evidence: Evidence) -> tuple[PackageResult, bool]:
    """Return the result, and whether the attempt counts: what passes by itself does not."""
    ended = evidence.ended
    error = _error(wanted, evidence)
    if evidence.succeeded:
        if evidence.detected:
            state = "installed"
        elif evidence.wants_reboot:
            state = "waits-for-reboot"
        else:
            state = "not-detected"
    elif evidence.detected:
        state = "failed-but-detected"
    else:
        state = "timed-out" if ended.why else "failed"
    bare = PackageResult(
        name=wanted.name,
        version=wanted.version,
        state=state,
        status=ended.status,
        seconds=round(ended.seconds),
        output=ended.output[-MOST_OUTPUT:],
        version_before=evidence.version_before,
        version_after=evidence.version_after,
        reboot=evidence.wants_reboot,
    )
    result = bare if error is None else explained(bare, error)
    return result, not isinstance(error, TransientError)


def refused(wanted: WantedPackage, error: CodedError, state: str = "failed") -> PackageResult:
    """Return the result of a package whose installer was not run."""
    return explained(PackageResult(wanted.name, wanted.version, state), error)


def explained(result: PackageResult, error: CodedError) -> PackageResult:
    """Return the result with the words of an error."""
    return evolve(result, code=error.code, cause=error.cause, action=error.action)


def stalled(wanted: WantedPackage, attempts: int, last: PackageResult | None) -> PackageResult:
    """Return the result of a package that is not tried any more, with the last evidence."""
    if last is not None and last.code == "RW211":
        return last
    cause = last.cause if last is not None and last.cause else "each time it was interrupted"
    error = TerminalError(
        "RW211",
        f"{wanted.name} was tried {attempts} times and is not there: {cause}",
        "See why, then change the Package document, or say `rackwright updates check`",
    )
    base = last or PackageResult(wanted.name, wanted.version, "failed")
    return explained(evolve(base, seconds=0, attempts=attempts, stalled=True), error)


def not_detected(wanted: WantedPackage, *, after_restart: bool = False) -> TerminalError:
    """Return the error of a package that installs and is not there (RW207)."""
    when = "also after the restart " if after_restart else ""
    return TerminalError(
        "RW207",
        f"the installer of {wanted.name} said that it succeeded, and {when}the package is not"
        " detected",
        "Compare the signs in `detect` with what is on the machine; see the installer's own log",
    )


def _error(wanted: WantedPackage, evidence: Evidence) -> CodedError | None:
    ended = evidence.ended
    if evidence.succeeded:
        if evidence.detected or evidence.wants_reboot:
            return None
        return not_detected(wanted)
    if ended.why == "timed-out":
        still = f"; {', '.join(ended.left_behind)} still ran" if ended.left_behind else ""
        return TerminalError(
            "RW209",
            f"the installer of {wanted.name} did not end within {wanted.timeout} s{still}",
            "Give it more time in `timeout`, or see what it waits for",
        )
    if ended.why:
        said = f"; the last that it said: {ended.prompt}" if ended.prompt else ""
        return TerminalError(
            "RW210",
            f"the installer of {wanted.name} waited for somebody after {ended.seconds:.0f} s{said}",
            "Use the options by which it asks nothing",
        )
    if evidence.failure is not None:
        return evidence.failure
    said = f": {ended.last_line}" if ended.last_line else ""
    return TerminalError(
        "RW208",
        f"the installer of {wanted.name} failed with {status_words(ended.status)}{said}",
        "See the end of its output, and its own log on the machine",
    )


def status_words(status: int | None) -> str:
    """Return ``status 1`` or ``signal 9``."""
    if status is not None and status < 0:
        return f"signal {-status}"
    return f"status {status}"
