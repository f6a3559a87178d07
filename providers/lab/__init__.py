"""The virtual rack: QEMU machines on a bridge in a network namespace of their own.

``rack_file`` reads ``rack.yaml``, ``rack_up`` prepares disks and starts the
supervisor, ``RackClient`` speaks to it. Everything the rack makes in the kernel
dies with the supervisor, however that dies; only files in the lab directory stay.

``simulate`` has another kind of machines, which need neither QEMU nor root.
"""
