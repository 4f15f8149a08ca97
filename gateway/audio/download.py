"""Fetch an address that a client named, without giving it access to internal networks."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

import httpcore2

from gateway.audio.ref_audio import ref_audio_error

_SECONDS: Final = 10.0
"""The time limit for name look-up, connection and transfer together."""
_LOOKUPS: Final = ThreadPoolExecutor(4, "lookup")
"""Threads for look-ups, so that a slow name server does not block the encoders, which use the event loop's threads."""


async def download(url: str, max_bytes: int, internal: Collection[str], *, seconds: float = _SECONDS) -> bytes:
    """Return the body at an http or https `url`, up to `max_bytes`, within `seconds`.

    Every address of its host must be public, unless `internal` names the host (`host` or `host:port`), and the
    connection goes to one of the addresses that were checked, even if the name changes meanwhile. No redirect is
    followed, no proxy is used, nothing is decompressed. Raises `InvalidInput`, which reveals nothing of the network.
    """
    pool = httpcore2.AsyncConnectionPool(network_backend=_Guard(internal))
    try:
        async with (
            asyncio.timeout(seconds),
            pool,
            pool.stream("GET", url.encode("ascii"), headers={"accept-encoding": "identity"}) as answer,
        ):
            if answer.status != 200:
                raise ref_audio_error(f"its address answers {answer.status}; redirects are not followed")
            body = bytearray()
            async for piece in answer.aiter_stream():
                body += piece
                if len(body) > max_bytes:
                    raise ref_audio_error(f"its address holds more than {max_bytes} bytes")
            return bytes(body)
    except TimeoutError:
        raise ref_audio_error(f"its address did not answer within {seconds:g} s") from None
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol, ValueError, OSError):
        raise ref_audio_error("its address cannot be fetched") from None


class _Guard(httpcore2.AsyncNetworkBackend):
    """Connects only to public addresses; TLS and the Host header still use the name."""

    def __init__(self, internal: Collection[str]) -> None:
        self._internal = internal
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
            raise ref_audio_error("its address is not a public one")
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
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
