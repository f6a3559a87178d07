"""scapy's DHCP options, imported without scapy's look at the host's routes.

A plain import reads both routing tables from the kernel, which costs a third of
the import time and goes wrong where netlink is closed off. Nothing here sends
through scapy, so nothing needs them.
"""

from scapy.config import conf

_routes, _routes6 = conf.route_autoload, conf.route6_autoload
conf.route_autoload = conf.route6_autoload = False

from scapy.layers.dhcp import DHCPOptionsField  # noqa: E402 (after the switch above)

conf.route_autoload, conf.route6_autoload = _routes, _routes6

__all__ = ["DHCPOptionsField"]
