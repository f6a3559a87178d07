"""How a supervised program ended."""

from attrs import frozen


@frozen
class Ended:
    """A program that has ended with all that it started.

    ``status`` is its exit status as its system counts, minus the signal's number where one
    ended it; None where the supervision ended it. ``output`` is the end of both streams
    together. ``seconds`` is how long it ran.
    """

    status: int | None
    output: str
    why: str = ""
    """Empty: it ended by itself. Else why it was ended: ``timed-out`` or ``silent``."""
    seconds: float = 0.0
    contradicted: bool = False
    """Whether what it printed says that it failed, although its status does not."""
    prompt: str = ""
    """The last line that was printed before it was ended."""
    left_behind: tuple[str, ...] = ()
    """The names of programs that were ended because they still ran."""

    @property
    def last_line(self) -> str:
        """The last line with something on it."""
        lines = [line.strip() for line in self.output.splitlines()]
        return next((line for line in reversed(lines) if line), "")
