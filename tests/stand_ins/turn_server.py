"""A stand-in for a TURN server on loopback: one user, one allocation for each client, channels bound by clients.

As with a real one, packets come in from the hosts that its client has sent to, and from no other.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from aioice import stun, turn

Address = tuple[str, int]
_REALM = "tests"
_HEADER = struct.Struct("!HH")


class _Relay(asyncio.DatagramProtocol):
    """The relayed port of one client."""

    def __init__(self, server: TurnServer, client: Address) -> None:
        self.server = server
        self.client = client
        self.channels: dict[int, Address] = {}
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if addr[0] not in (host for host, _ in self.channels.values()):
            return
        self.server.relayed += 1
        if channel := next((number for number, peer in self.channels.items() if peer == addr), None):
            packet = _HEADER.pack(channel, len(data)) + data
        else:
            attributes = {"XOR-PEER-ADDRESS": addr, "DATA": data}
            packet = bytes(stun.Message(stun.Method.DATA, stun.Class.INDICATION, attributes=attributes))
        self.server.transport.sendto(packet, self.client)


class TurnServer(asyncio.DatagramProtocol):
    """The server; it answers a binding request as a STUN server does."""

    def __init__(self, username: str = "user", credential: str = "secret") -> None:
        self.username = username
        self.relayed = 0
        """Packets to clients."""
        self.mapped: Address | None = None
        """What a client is told of its address; None: the true one."""
        self.port = 0
        self.transport: asyncio.DatagramTransport
        self._key = turn.make_integrity_key(username, _REALM, credential)
        self._relays: dict[Address, _Relay] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        """Serve for the block."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
        self.port = self.transport.get_extra_info("sockname")[1]
        try:
            yield self
        finally:
            for relay in self._relays.values():
                relay.transport.close()
            self.transport.close()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if turn.is_channel_data(data):
            channel, length = _HEADER.unpack(data[:4])
            relay = self._relays[addr]
            relay.transport.sendto(data[4 : 4 + length], relay.channels[channel])
            return
        task = asyncio.create_task(self._answer(stun.parse_message(data), addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: stun.Message, addr: Address) -> None:
        response = stun.Message(request.message_method, stun.Class.RESPONSE, request.transaction_id)
        response.attributes["XOR-MAPPED-ADDRESS"] = self.mapped or addr
        method = request.message_method
        if method != stun.Method.BINDING and not request.check_message_integrity(self._key):
            response.message_class = stun.Class.ERROR
            response.attributes = {"ERROR-CODE": (401, "Unauthorized"), "NONCE": b"once", "REALM": _REALM}
        elif method == stun.Method.ALLOCATE:
            loop = asyncio.get_running_loop()
            _, relay = await loop.create_datagram_endpoint(lambda: _Relay(self, addr), ("127.0.0.1", 0))
            self._relays[addr] = relay
            response.attributes["XOR-RELAYED-ADDRESS"] = relay.transport.get_extra_info("sockname")
            response.attributes["LIFETIME"] = 600
        elif method == stun.Method.REFRESH:
            response.attributes["LIFETIME"] = request.attributes["LIFETIME"]
        elif method == stun.Method.CHANNEL_BIND:
            channel = request.attributes["CHANNEL-NUMBER"]
            self._relays[addr].channels[channel] = request.attributes["XOR-PEER-ADDRESS"]
        if method != stun.Method.BINDING and response.message_class == stun.Class.RESPONSE:
            response.add_message_integrity(self._key)
        self.transport.sendto(bytes(response), addr)
