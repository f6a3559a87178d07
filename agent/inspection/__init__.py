"""What a machine is and what its disks hold, read from the kernel without changing anything.

The kernel's trees are passed in (``HostPaths``), so that captured ones can be read too.
"""
