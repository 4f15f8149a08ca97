"""Fetch an address that a client named, without giving it access to internal networks."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from functools import partial
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Final

import httpcore2

from tritone.errors import InvalidInput

_SECONDS: Final = 10.0
"""The time limit for name look-up, connection and transfer together."""
_LOOKUPS: Final = ThreadPoolExecutor(4, "lookup")
"""Threads for look-ups, so that a slow name server does not block the encoders, which use the event loop's threads."""

_SPECIAL: Final = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20", "5f00::/16", "100:0:0:1::/64")))
"""Networks of IANA's registries of special addresses that Python 3.11 and 3.12 take for public."""


async def download(
    url: str, max_bytes: int, internal: Collection[str], *, seconds: float = _SECONDS, field: str = "ref_audio"
) -> bytes:
    """Return the body at `url`, as `fetch` does."""
    async with aclosing(fetch(url, max_bytes, internal, seconds=seconds, field=field)) as pieces:
        return b"".join([piece async for piece in pieces])


async def fetch(
    url: str, max_bytes: int, internal: Collection[str], *, seconds: float, field: str
) -> AsyncGenerator[bytes]:
    """Yield the body at an http or https `url` in pieces, up to `max_bytes`, within `seconds`.

    Every address of its host must be public, unless `internal` names the host (`host` or `host:port`), and the
    connection goes to one of the addresses that were checked, even if the name changes meanwhile. No redirect is
    followed, no proxy is used, nothing is decompressed. Raises `InvalidInput` of `field`, which reveals nothing of the
    network.
    """
    async with _answered("GET", url, internal, seconds, field, headers={"accept-encoding": "identity"}) as answer:
        if answer.status != 200:
            raise InvalidInput(field, f"its address answers {answer.status}; redirects are not followed")
        size = 0
        async for piece in answer.aiter_stream():
            size += len(piece)
            if size > max_bytes:
                raise InvalidInput(field, f"its address holds more than {max_bytes} bytes")
            yield piece


async def post(
    url: str, body: bytes, headers: dict[str, str], internal: Collection[str], *, seconds: float = _SECONDS, field: str
) -> int:
    """Send `body` to `url` under the rules of `fetch`, and return the status of the answer. Raises `InvalidInput`."""
    async with _answered("POST", url, internal, seconds, field, headers=headers, body=body) as answer:
        return int(answer.status)


@asynccontextmanager
async def _answered(
    method: str,
    url: str,
    internal: Collection[str],
    seconds: float,
    field: str,
    *,
    headers: dict[str, str],
    body: bytes | None = None,
) -> AsyncGenerator[httpcore2.Response]:
    """Send a request; the block, which reads the answer, and everything before it must end within `seconds`."""
    pool = httpcore2.AsyncConnectionPool(network_backend=_Guard(internal, field))
    try:
        async with (
            asyncio.timeout(seconds),
            pool,
            pool.stream(method, url.encode("ascii"), headers=list(headers.items()), content=body) as answer,
        ):
            yield answer
    except TimeoutError:
        raise InvalidInput(field, f"its address did not answer within {seconds:g} s") from None
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol, ValueError, OSError):
        raise InvalidInput(field, "its address cannot be fetched") from None


class _Guard(httpcore2.AsyncNetworkBackend):
    """Connects only to public addresses; TLS and the Host header still use the name."""

    def __init__(self, internal: Collection[str], field: str) -> None:
        self._internal = internal
        self._field = field
        self._backend = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Look up `host`, and connect to the first of its addresses that accepts."""
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(_LOOKUPS, look_up)
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        if not {host, f"{host}:{port}"} & set(self._internal) and not all(map(is_public, addresses)):
            raise InvalidInput(self._field, "its address is not a public one")
        failure: Exception | None = None
        for address in addresses:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore2.NetworkError as error:
                failure = error
        raise failure or httpcore2.ConnectError(host)


def is_public(address: str) -> bool:
    """Return whether an IP address is a host's on the internet, and does not embed an internal IPv4 address."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        if ip.is_site_local or ip.sixtofour or ip.teredo:  # the last two carry an IPv4 address, which may be any
            return False
        ip = ip.ipv4_mapped or ip
    if any(ip in network for network in _SPECIAL):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
