"""What an agent does by itself between its questions for work."""

from agent.duties import take_turns
from agent.errors import TerminalError


class Counted:
    """A duty that fails for as long as it has errors left."""

    def __init__(self, *errors: TerminalError) -> None:
        self.errors = list(errors)
        self.turns = 0

    def turn(self) -> None:
        self.turns += 1
        if self.errors:
            raise self.errors.pop()


def test_a_duty_that_fails_keeps_no_other_from_its_turn(caplog) -> None:
    failing = Counted(TerminalError("RW599", "no such thing", "Look for it"))
    other = Counted()
    take_turns((failing, other))
    take_turns((failing, other))
    assert (failing.turns, other.turns) == (2, 2)
    assert [record.getMessage() for record in caplog.records] == [
        "RW599: no such thing. Look for it."
    ]
