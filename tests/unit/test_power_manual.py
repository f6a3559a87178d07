import pytest

from providers.errors import ProviderError
from providers.power.driver import PowerDriver
from providers.power.manual import ManualPower


@pytest.mark.parametrize(
    ("request_name", "text"),
    [
        (
            "power_on",
            "RW602: node-01: the power driver manual cannot start a machine. "
            "Start it by its power button; the work goes on when it reports.",
        ),
        (
            "power_off",
            "RW602: node-01: the power driver manual cannot switch off a machine. "
            "Switch it off by hand; the work goes on when it reports.",
        ),
        (
            "reset",
            "RW602: node-01: the power driver manual cannot reset a machine. "
            "Restart it by hand; the work goes on when it reports.",
        ),
    ],
)
def test_it_says_what_a_person_has_to_do(request_name, text):
    driver: PowerDriver = ManualPower("node-01")
    with pytest.raises(ProviderError) as caught:
        getattr(driver, request_name)()
    assert str(caught.value) == text


def test_it_knows_nothing_of_the_machines_power():
    assert ManualPower("node-01").query() == "unknown"
