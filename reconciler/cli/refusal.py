"""Errors as a person at the terminal reads them."""

from agent.errors import CodedError

DEBUG = "RACKWRIGHT_DEBUG"
"""Environment variable that lets an unexpected error end with its traceback."""


def refusal(error: CodedError) -> str:
    """Return the text for an error that was foreseen."""
    return f"error {error.code}: {error.cause}\n  {error.action}"


def unexpected(error: BaseException) -> str:
    """Return the text for an error that nobody foresaw: a defect, or the system's refusal."""
    kind = type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename})" if error.filename else ""
        return (
            f"error RW910: the system refused: {error.strerror}{where}\n"
            "  Give this user access or room there, or name another place"
        )
    return (
        f"error RW999: unexpected {kind}: {error}\n"
        f"  This is a defect of Rackwright: run it again with {DEBUG}=1 and report what it prints"
    )
