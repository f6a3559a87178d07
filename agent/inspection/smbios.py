"""SMBIOS system information (DMTF DSP0134, type 1) as the kernel exports it."""

import re
from pathlib import Path

from attrs import frozen

from agent.inspection.host_paths import read_line

# Board makers ship these where nobody filled the field in; as identities they would
# make two machines one.
_UNFILLED = re.compile(
    r"|to be filled by o\.?e\.?m\.?|default string|system (serial number|manufacturer"
    r"|product name|version)|not (specified|applicable|available)|none|n/a|unknown|o\.?e\.?m\.?"
    r"|[0x.\-\s]*|123456789?0?|empty|invalid",
    re.IGNORECASE,
)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@frozen
class Smbios:
    """The four fields that identify a machine; empty where unfilled."""

    uuid: str
    serial: str
    vendor: str
    product: str


def read_smbios(sysfs: Path) -> Smbios:
    """Return what ``class/dmi/id`` says; a machine without SMBIOS has only empty fields."""
    table = sysfs / "class/dmi/id"
    return Smbios(
        uuid=usable_uuid(read_line(table / "product_uuid")),
        serial=usable_text(read_line(table / "product_serial")),
        vendor=usable_text(read_line(table / "sys_vendor")),
        product=usable_text(read_line(table / "product_name")),
    )


def usable_uuid(text: str) -> str:
    """Return the UUID in lower case, empty where it is malformed.

    Which ones many machines share is for the server to know.
    """
    uuid = text.lower()
    return uuid if _UUID.fullmatch(uuid) else ""


def usable_text(text: str) -> str:
    """Return the text, empty where it is a placeholder of the board's maker."""
    return "" if _UNFILLED.fullmatch(text) else text
