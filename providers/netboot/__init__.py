"""Network boot: DHCP, ProxyDHCP, TFTP and HTTP, and the one decision what a machine boots."""
