import pytest

from agent.errors import TerminalError
from providers.power import manual


def test_it_says_what_a_person_has_to_do():
    with pytest.raises(TerminalError) as caught:
        manual.power_on("node-01")
    assert str(caught.value) == (
        "RW602: node-01: the power driver manual cannot start a machine. "
        "Start it by its power button; the work goes on when it reports."
    )
