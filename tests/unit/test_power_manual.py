import pytest

from providers.power.driver import PowerRefusedError
from providers.power.manual import ManualPower


def refusal(request):
    with pytest.raises(PowerRefusedError) as caught:
        request()
    return str(caught.value)


def test_it_says_what_a_person_has_to_do():
    driver = ManualPower("node-01")
    assert refusal(driver.power_on) == (
        "RW602: node-01: the power driver manual cannot start a machine. "
        "Start it by its power button; the work goes on when it reports."
    )
    assert refusal(driver.power_off) == (
        "RW602: node-01: the power driver manual cannot switch off a machine. "
        "Switch it off by hand; the work goes on when it reports."
    )
    assert refusal(driver.reset) == (
        "RW602: node-01: the power driver manual cannot reset a machine. "
        "Restart it by hand; the work goes on when it reports."
    )


def test_it_knows_nothing_of_the_machines_power():
    assert ManualPower("node-01").query() == "unknown"
