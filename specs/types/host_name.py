"""Host names and domains (RFC 1123, section 2.1), and hosts that are reached by either."""

import re
from typing import Annotated

from specs.diagnostics.quote import quoted
from specs.types.invalid_value import InvalidValue
from specs.types.ipv4 import parse_address
from specs.types.text import read_with, shown_as

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
is_label = re.compile(_LABEL).fullmatch
"""Tells whether a text can be a host name."""
_is_domain = re.compile(_DOMAIN).fullmatch
_MAX_DOMAIN = 189
"""With a host name of 63 characters and a dot, no more than the 253 of RFC 1035, 2.3.4."""


def _host_name(text: str) -> str:
    if is_label(text):
        return text
    if _is_domain(text):
        name, domain = text.split(".", 1)
        hint = f"write hostname: {name} and domain: {domain}"
    elif is_label(text.replace("_", "-")):
        hint = f"write {text.replace('_', '-')}"
    else:
        hint = 'up to 63 letters, digits and "-", with a letter or digit at both ends'
    raise InvalidValue(f"{quoted(text)} is not a host name", hint)


def _domain(text: str) -> str:
    if len(text) > _MAX_DOMAIN:
        raise InvalidValue(
            f"the domain has {len(text)} characters, at most {_MAX_DOMAIN} are allowed",
            "with its host name it has at most 253",
        )
    if _is_domain(text):
        return text.lower()
    meant = text.strip(".").replace("_", "-")
    hint = f"write {meant}" if _is_domain(meant) else "for example tokyo.example.net"
    raise InvalidValue(f"{quoted(text)} is not a domain", hint)


def _host(text: str) -> str:
    if re.fullmatch(r"[0-9.]+", text):
        return str(parse_address(text))
    try:
        return _domain(text)
    except InvalidValue:
        raise InvalidValue(
            f"{quoted(text)} is neither an IPv4 address nor a name",
            "for example 10.20.200.13 or bmc-0713.example.net",
        ) from None


HostName = Annotated[str, read_with(_host_name), shown_as(f"^{_LABEL}$", "node-0713")]
"""One label, without the domain. Case is kept; comparison ignores it."""

DomainName = Annotated[str, read_with(_domain), shown_as(f"^{_DOMAIN}$", "tokyo.example.net")]
"""Labels joined by dots, kept in lower case."""

Host = Annotated[str, read_with(_host), shown_as(r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$")]
"""An IPv4 address, or a name in lower case."""
