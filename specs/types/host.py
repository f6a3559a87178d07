"""A host that is reached over the network: by address or by name."""

import re
from typing import Annotated

from specs.diagnostics.quote import quoted
from specs.types.host_name import parse_domain
from specs.types.invalid_value import InvalidValue
from specs.types.ipv4 import parse_address
from specs.types.text import read_with, shown_as


def _host(text: str) -> str:
    if re.fullmatch(r"[0-9.]+", text):
        return str(parse_address(text))
    try:
        return parse_domain(text)
    except InvalidValue:
        raise InvalidValue(
            f"{quoted(text)} is neither an IPv4 address nor a name",
            "for example 10.20.200.13 or bmc-0713.example.net",
        ) from None


Host = Annotated[str, read_with(_host), shown_as(r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$")]
"""An IPv4 address, or a name in lower case."""
