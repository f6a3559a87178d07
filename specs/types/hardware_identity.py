"""What names a machine's hardware in its history: ``uuid:...`` or ``mac:...``."""

from typing import Annotated

from specs.diagnostics.quote import quoted
from specs.types import hardware_uuid, mac_address
from specs.types.invalid_value import InvalidValue
from specs.types.text import read_with, shown_as

_HEX = "[0-9A-Fa-f]"
_FORM = rf"(uuid:{_HEX}{{8}}-({_HEX}{{4}}-){{3}}{_HEX}{{12}}|mac:{_HEX}{{2}}([:-]{_HEX}{{2}}){{5}})"


def _hardware_identity(text: str) -> str:
    noun, _, value = text.partition(":")
    if noun == "uuid":
        return f"uuid:{hardware_uuid.normalised(value)}"
    if noun == "mac":
        return f"mac:{mac_address.normalised(value)}"
    raise InvalidValue(
        f"{quoted(text)} does not name hardware",
        'for example "uuid:4c4c4544-0042-3510-8052-b4c04f4e4a32" or "mac:52:54:00:12:34:56"',
    )


HardwareIdentity = Annotated[
    str, read_with(_hardware_identity), shown_as(f"^{_FORM}$", "mac:52:54:00:12:34:56")
]
"""As ``CompiledMachine.hardware_identity`` has it: in lower case."""
