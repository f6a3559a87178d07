"""hosts(5): the machine's own name. Pure."""

_OWN_ADDRESS = "127.0.1.1"
_FRESH = """\
127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
"""


def own_name_set(text: str, hostname: str) -> str:
    """Return the file with the golden machine's name replaced by this one's.

    Debian gives the own name to 127.0.1.1 (Debian Reference, 5.1.1); all else that the
    file says stays. A name with a domain is followed by its short form.
    """
    names = f"{hostname} {hostname.partition('.')[0]}" if "." in hostname else hostname
    own = f"{_OWN_ADDRESS} {names}"
    lines = (text or _FRESH).splitlines()
    places = [index for index, line in enumerate(lines) if line.split()[:1] == [_OWN_ADDRESS]]
    if not places:
        local = [index for index, line in enumerate(lines) if line.split()[:1] == ["127.0.0.1"]]
        lines.insert(local[-1] + 1 if local else 0, own)
    else:
        lines[places[0]] = own
        lines = [line for index, line in enumerate(lines) if index not in places[1:]]
    return "\n".join(lines) + "\n"
