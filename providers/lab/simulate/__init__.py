"""Simulated machines: real protocols, the real agent, a file for a disk; no QEMU and no root.

``SimulatedRack`` (``rack``) starts one process in a user and network namespace of its own and
speaks to it. That process (``process``) has a bridge, the server's address on it, and a thread
for each machine that is switched on. Each has a network namespace of its own with a NIC on
the bridge: its DHCP, TFTP, HTTP and TLS are real, from its own MAC and address.

``firmware`` boots as a BIOS with a PXE ROM and iPXE does; ``system`` runs ``agent.deploy_os``
and ``agent.service`` on a tree (``host_tree``) that shows the machine; ``disk`` says what is on
its disk, from its bytes. What is simulated is listed in docs/reference/simulated-machines.md.
"""
