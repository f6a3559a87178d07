"""Network boot: what a machine's firmware asks, and who here answers.

A machine that is switched on knows nothing but its MAC. Its firmware asks in this order:

1. DHCP, port 67: "who am I, and what do I boot?" The datagram comes in by
   ``dhcp_endpoint``, becomes a ``DhcpMessage`` in ``dhcp_codec``, and ``dhcp_service`` looks
   up the network that it came from (``served_fleet``). ``firmware`` is the table of what the
   firmware at the other end needs: its architecture, its way to the Deploy-OS, its defects.
2. ``boot_service`` asks the control plane (``BootAuthority``) what the machine boots and gets
   the local disk unless a live grant names it: ``decision`` is that function, and no other
   module asks. ``boot_policy`` turns the answer into boot data.
3. Where the addresses are ours, ``dhcp_server_policy`` says what to reply and which lease to
   record. ``address_choice`` picks the address: reserved, former, wished for, else a free one
   of the ``address_pool``. ``lease_table`` owns the leases in memory; a lease is in the
   ``LeaseStore`` before its ACK goes out, an offer is only remembered.
4. Beside another DHCP server ``proxy_policy`` offers the boot data alone. Some firmware then
   asks once more, on port 4011, before it has its file name.
5. TFTP, port 69: UEFI fetches shim and GRUB, a PXE ROM fetches iPXE. ``tftp_server`` is a
   thread with one ``tftp_session`` per transfer, and requests that wait for their turn;
   ``boot_files`` finds the file, ``shared_files`` opens each once.
6. GRUB asks for ``/grub/machine/MAC`` by TFTP, iPXE for ``/boot/ipxe/MAC`` by HTTP
   (``http_routes``): the machine's own script. ``client_check`` compares the address that
   asks with the lease of that MAC, ``boot_service`` decides once more, and ``boot_script``
   writes kernel, RAM disk and the enrollment credentials, or the way on to the local disk.
7. Kernel and RAM disk follow by the same way. From here on the agent speaks, to others.

Whatever goes wrong with a packet ends with it: the machine gets no answer or its local disk,
``unanswered`` counts why, and the boot timeline says it. ``server`` owns the sockets and
opens them again when an interface comes back; ``port_owner`` names who has a port of ours.

Codec, socket and policy are modules of their own: ``dhcp_codec``, ``dhcp_endpoint`` and the
two ``*_policy``; ``tftp_session`` and ``tftp_server``. RFC 2131, 2132, 3046, 4578 (DHCP),
1350, 2347 to 2349 (TFTP), PXE specification 2.1, UEFI specification (HTTP Boot).
"""
