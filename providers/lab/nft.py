"""nft: cables that lose frames."""

from collections.abc import Mapping

from providers.lab.command import run

_PACKAGE = "nftables"


def ruleset(losses: Mapping[str, int]) -> str:
    """Return nftables rules that drop a share of each tap's frames, in thousandths.

    In both directions and whatever the frame carries. Used instead of netem, which
    few kernels have built in.
    """
    incoming = "".join(
        f'    iifname "{tap}" numgen random mod 1000 < {loss} drop\n'
        for tap, loss in losses.items()
    )
    outgoing = incoming.replace("iifname", "oifname")
    return (
        "table bridge rack {\n"
        "  chain from_machines {\n"
        "    type filter hook prerouting priority -300; policy accept;\n"
        f"{incoming}"
        "  }\n"
        "  chain to_machines {\n"
        "    type filter hook postrouting priority 300; policy accept;\n"
        f"{outgoing}"
        "  }\n"
        "}\n"
    )


def lose_frames(losses: Mapping[str, int]) -> None:
    """Install the rules in this process's namespace. RW801, RW809."""
    if losses:
        run(["nft", "-f", "-"], package=_PACKAGE, standard_input=ruleset(losses))
