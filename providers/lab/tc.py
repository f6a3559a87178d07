"""tc: slow cables."""

from collections.abc import Mapping

from providers.lab.command import run

_PACKAGE = "iproute2"
_LATENCY = "50ms"  # what a switch port queues before it drops
_LEAST_BURST = 2 * 1514  # two full frames, else none of that size would ever pass
_BURST_SECONDS = 0.004  # one tick of a kernel with 250 Hz


def batch(rates: Mapping[str, int]) -> str:
    """Return what ``tc -batch`` does: a token bucket at each tap, in bits per second."""
    return "".join(
        f"qdisc add dev {tap} root tbf rate {rate}bit burst {_burst(rate)} latency {_LATENCY}\n"
        for tap, rate in rates.items()
    )


def _burst(rate: int) -> int:
    """Return the bucket's size in bytes."""
    return max(_LEAST_BURST, round(rate / 8 * _BURST_SECONDS))


def limit_rates(rates: Mapping[str, int]) -> None:
    """Slow down what reaches the machines. RW801, RW809."""
    if rates:
        run(["tc", "-batch", "-"], package=_PACKAGE, standard_input=batch(rates))
