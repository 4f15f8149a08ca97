"""The Triton servers behind the gateway: fixed addresses, and names that stand for several servers."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Final

from gateway.core.model_watch import UNLOAD_GRACE
from gateway.core.server import Server

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""Returns the addresses, `host:port`, of the servers that a name, `name:port`, stands for; raises OSError."""

_DNS: Final = "dns:///"
_RESOLVE_SECONDS: Final = 1.0
"""Between two look-ups of a name; a connection that fails causes one at once."""
_LEAST_SECONDS: Final = 0.5
"""Between two look-ups, also where connections fail at once."""
_START_SECONDS: Final = 2.0
"""The longest wait of `start` for the first polls."""

logger = logging.getLogger(__name__)


async def resolve_name(name: str) -> Sequence[str]:
    """Return the addresses that the system's resolver has for `name:port`."""
    host, _, port = name.rpartition(":")
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    hosts = dict.fromkeys((str(address[0]), family) for family, *_, address in found)
    return [f"[{ip}]:{port}" if family == socket.AF_INET6 else f"{ip}:{port}" for ip, family in hosts]


class ServerPool:
    """The servers, each followed by a task of its own. `start` the pool in an event loop, and `close` it."""

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        unload_grace: float = UNLOAD_GRACE,
        resolve: Resolve = resolve_name,
        resolve_seconds: float = _RESOLVE_SECONDS,
    ) -> None:
        """Each of `addresses` is `host:port`, or `dns:///name:port` for every server that the name stands for."""
        self._addresses = addresses
        self._unload_grace = unload_grace
        self._resolve = resolve
        self._resolve_seconds = resolve_seconds
        self._disconnected = asyncio.Event()
        self._looked_up = asyncio.Event()
        """Set after the first look-up of the names, and if there are none."""
        self._unresolved = ""
        """The error of the last look-up, which is logged once."""
        self._servers: dict[str, Server] = {}
        self._following: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def servers(self) -> list[Server]:
        """The servers that requests may be sent to, if they are connected."""
        return list(self._servers.values())

    async def start(self) -> None:
        """Connect to each server; return after each was polled once, or after two seconds."""
        for address in self._addresses:
            if not address.startswith(_DNS):
                self._add(address)
        names = [address.removeprefix(_DNS) for address in self._addresses if address.startswith(_DNS)]
        if names:
            self._keep(self._follow_names(names))
        else:
            self._looked_up.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                await self._looked_up.wait()
                for server in self.servers:
                    await server.polled.wait()

    async def close(self) -> None:
        """Close every connection."""
        tasks = [*self._tasks, *self._following.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(server.close() for server in self._servers.values()))

    async def _follow_names(self, names: Sequence[str]) -> None:
        while True:
            await self._look_up(names)
            self._looked_up.set()
            await asyncio.sleep(_LEAST_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._resolve_seconds - _LEAST_SECONDS):
                    await self._disconnected.wait()
            self._disconnected.clear()

    async def _look_up(self, names: Sequence[str]) -> None:
        """Add and remove servers as the names say now; if a name cannot be resolved, nothing changes."""
        try:
            found = [address for name in names for address in await self._resolve(name)]
        except OSError as error:
            if str(error) != self._unresolved:
                logger.warning("cannot resolve TRITON_GRPC_URL (%s): %s", ", ".join(names), error)
            self._unresolved = str(error)
            return
        self._unresolved = ""
        wanted = dict.fromkeys((*(each for each in self._addresses if not each.startswith(_DNS)), *found))
        for address in [address for address in self._servers if address not in wanted]:
            self._keep(self._retire(address))
        for address in wanted:
            self._add(address)

    def _add(self, address: str) -> None:
        if address in self._servers:
            return
        server = Server(address, unload_grace=self._unload_grace, on_disconnect=self._disconnected.set)
        self._servers[address] = server
        self._following[address] = asyncio.create_task(server.follow())

    async def _retire(self, address: str) -> None:
        """Send no more requests to a server, and close its connection after its last call."""
        server, following = self._servers.pop(address), self._following.pop(address)
        logger.info("triton %s was removed", address)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        try:
            await server.idle.wait()
        finally:
            await server.close()

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
