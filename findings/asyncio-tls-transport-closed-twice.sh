#!/usr/bin/env bash
# A TLS transport of asyncio that is closed twice can neither be written to nor be cut off.
#
# Guess from memory: close() of a transport may be called as often as one likes; write() on one that
# is closing is ignored, and abort() closes the connection at once, whatever was called before.
# Behaviour (Python 3.11, asyncio.sslproto): that holds for plain TCP. On TLS the first close() begins
# the closing handshake; the second one drops the transport's protocol. From then on write() raises
# AttributeError and abort() does nothing: the connection stays until the client answers or the
# shutdown timeout (30 seconds) ends it.
# Why it matters: whoever sweeps connections that are too slow closes one again at the next sweep if
# its client does not answer. The sweep then dies of the AttributeError, and the clients that it is
# meant against (which take no farewell) are the ones that stay connected.
#
# Output seen:
#   plain TCP: write ok, gone after abort: True
#   TLS: write raises AttributeError, gone after abort: False
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -keyout "$work/key.pem" -out "$work/certificate.pem" 2>"$work/log" || { cat "$work/log"; exit 1; }

cat > "$work/close.py" <<'PYTHON'
import asyncio
import socket
import ssl
import sys

CERTIFICATE, KEY = sys.argv[1:]


class Server(asyncio.Protocol):
    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.ready.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set()


def connected(port: int, context: ssl.SSLContext | None) -> socket.socket:
    """Return a client that says one word and then nothing, not even that it closes."""
    client = socket.create_connection(("127.0.0.1", port))
    if context is not None:
        client = context.wrap_socket(client)
    client.sendall(b"hello")
    return client


async def closed_twice(tls: bool) -> str:
    server_context = client_context = None
    if tls:
        server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_context.load_cert_chain(CERTIFICATE, KEY)
        client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client_context.check_hostname = False
        client_context.verify_mode = ssl.CERT_NONE
    protocol = Server()
    server = await asyncio.get_running_loop().create_server(
        lambda: protocol, "127.0.0.1", 0, ssl=server_context
    )
    port = server.sockets[0].getsockname()[1]
    client = await asyncio.to_thread(connected, port, client_context)
    await protocol.ready.wait()
    # More than the client's and the kernel's buffers take: it reads nothing.
    protocol.transport.write(bytes(1 << 24))
    protocol.transport.close()
    protocol.transport.close()
    try:
        protocol.transport.write(b"farewell")
        written = "write ok"
    except AttributeError:
        written = "write raises AttributeError"
    protocol.transport.abort()
    try:
        await asyncio.wait_for(protocol.lost.wait(), 2)
    except TimeoutError:
        pass
    client.close()
    server.close()
    return f"{written}, gone after abort: {protocol.lost.is_set()}"


async def main() -> None:
    print("plain TCP:", await closed_twice(False))
    print("TLS:", await closed_twice(True))


asyncio.run(main())
PYTHON

seen=$(timeout 60 python3 "$work/close.py" "$work/certificate.pem" "$work/key.pem" 2>/dev/null)
printf '%s\n' "$seen"
expected=$'plain TCP: write ok, gone after abort: True\nTLS: write raises AttributeError, gone after abort: False'
[[ $seen == "$expected" ]]
