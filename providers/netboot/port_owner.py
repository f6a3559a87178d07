"""Which process has a port: what ``ss -lp`` would say, read from /proc (proc(5))."""

import errno
import os
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal

from agent.errors import TerminalError

Protocol = Literal["udp", "tcp"]

_LISTENING = "0A"
_ANY = IPv4Address(0)
_STATE, _INODE = 3, 9


def socket_inodes(table: str, protocol: Protocol, address: IPv4Address, port: int) -> set[str]:
    """Return the inodes of the sockets in ``/proc/net/udp`` or ``tcp`` that have the port.

    A socket on 0.0.0.0 has the port on every address, and ``address`` 0.0.0.0
    collides with a socket on any. Lines that are none are skipped.
    """
    inodes = set()
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) <= _INODE or (protocol == "tcp" and words[_STATE] != _LISTENING):
            continue
        raw_address, _, raw_port = words[1].partition(":")
        # The kernel prints the address as a number of the host's byte order: x86 and
        # ARM are little-endian.
        local = IPv4Address(bytes.fromhex(raw_address)[::-1])
        if int(raw_port, 16) == port and (address == local or _ANY in (address, local)):
            inodes.add(words[_INODE])
    return inodes


def port_owner(
    protocol: Protocol, address: IPv4Address, port: int, proc: Path = Path("/proc")
) -> str | None:
    """Return a process that has the port as ``NAME (pid ID)``, None if none can be seen.

    Other users' processes are only seen by root, other containers' not at all.
    """
    try:
        table = (proc / "thread-self" / "net" / protocol).read_text(encoding="ascii")
    except OSError:
        return None
    inodes = socket_inodes(table, protocol, address, port)
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for pid, link in _open_sockets(proc) if wanted else ():
        if link in wanted:
            return f"{_name(proc, pid)} (pid {pid})"
    return None


def bind_error(
    error: OSError, protocol: Protocol, address: IPv4Address, port: int, interface: str
) -> TerminalError:
    """Return the error for a failed bind, with who has the port if that is why."""
    where = f"{port}/{protocol} on {address}"
    if error.errno == errno.EADDRINUSE:
        owner = port_owner(protocol, address, port)
        by = f"by {owner}" if owner else "by a process that cannot be seen from here"
        return TerminalError(
            "RW301",
            f"port {where} is already taken {by}",
            "Stop that service, or let it not use this interface",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        action = "Run as root, or with the capabilities CAP_NET_BIND_SERVICE and CAP_NET_RAW"
    elif address == _ANY:
        action = f"Check that interface {interface} exists"
    else:
        action = f"Check that interface {interface} exists, is up and has the address {address}"
    reason = os.strerror(error.errno) if error.errno else str(error)
    return TerminalError("RW302", f"port {where} cannot be used: {reason}", action)


def _open_sockets(proc: Path) -> Iterator[tuple[int, str]]:
    for process in proc.iterdir():
        if not process.name.isdecimal():
            continue
        try:
            for descriptor in (process / "fd").iterdir():
                link = os.readlink(descriptor)  # noqa: PTH115 (the target is no path)
                yield int(process.name), link
        except OSError:  # it ended meanwhile, or is another user's
            continue


def _name(proc: Path, pid: int) -> str:
    try:
        return (proc / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "a process"
