"""What a machine does after an operation that ended without success. Pure."""

from typing import Literal

from attrs import frozen

from agent.wire.work import OnError

Move = Literal["restart", "poweroff", "stay"]
_MOST_DELIVERY = 600.0


@frozen
class Failure:
    """How an operation ended, as far as it decides what the machine does next."""

    cause: str
    """One line: code, cause and action."""
    on_error: OnError
    disks_written: bool
    """Whether a disk was written in this attempt or an earlier one."""
    step_hangs: bool = False
    """Its step could not be stopped and may go on: nothing else may be done beside it."""

    @property
    def move(self) -> Move:
        """Return what the machine does.

        It does not start from a disk that is overwritten in part. Where a step hangs that
        writes, only without power nothing more is written.
        """
        action = self.on_error.action
        if action == "local-boot" and self.disks_written:
            return "poweroff" if self.step_hangs else "stay"
        moves: dict[str, Move] = {"local-boot": "restart", "reboot": "restart"}
        return moves.get(action, "poweroff" if action == "poweroff" else "stay")

    @property
    def delivery_seconds(self) -> float | None:
        """Return for how many seconds the server is told of it; None for as long as it takes.

        A machine whose disks are as they were goes back to its own work although the server is
        away. Of a disk that was written the server has to know.
        """
        return None if self.disks_written or self.move == "stay" else _MOST_DELIVERY

    def next_words(self, seconds: float) -> str:
        """Return what happens next, in so many seconds, and what a person can do."""
        disks = "A disk was written." if self.disks_written else "No disk was written."
        how = {
            "restart": f"Restarting in {seconds:.0f} s; without other work it starts from its disk",
            "poweroff": f"Switching off in {seconds:.0f} s",
            "stay": "The machine stays in the Deploy-OS",
        }[self.move]
        if self.move == "stay" and not self.step_hangs:
            how += " and waits for work"
        return f"{disks} {how}. Keys: p switches off, r restarts."
