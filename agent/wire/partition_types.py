"""What partitions without a file system are for, by their type.

UEFI specification, section 5.3; Discoverable Partitions Specification; MBR type bytes.
"""

_NAMES = {
    "21686148-6449-6e6f-744e-656564454649": "BIOS boot",
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "EFI system",
    "e3c9e316-0b5c-4db8-817d-f92df00215ae": "Microsoft reserved",
    "de94bba4-06d1-4d40-a16a-bfd50179d6ac": "Windows recovery",
    "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": "Microsoft basic data",
    "0fc63daf-8483-4772-8e79-3d69d8477de4": "Linux",
    "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f": "Linux swap",
    "e6d6d379-f507-44c2-a23c-238f2a3df928": "Linux LVM",
    "a19d880f-05fc-4d3b-a006-743f0f84911e": "Linux RAID",
    "0x05": "extended",
    "0x0f": "extended",
    "0x85": "extended",
    "0x07": "NTFS or exFAT",
    "0x82": "Linux swap",
    "0x83": "Linux",
    "0x8e": "Linux LVM",
}


def type_name(partition_type: str) -> str:
    """Return the name of a GPT type GUID or an MBR type byte; ``unknown`` for another one."""
    return _NAMES.get(partition_type.lower(), "unknown")
