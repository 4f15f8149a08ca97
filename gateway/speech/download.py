"""Fetching an address that a caller named, without letting it reach what only this machine can reach."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

import httpcore2

from gateway.audio.reference import bad_reference

_SECONDS: Final = 10.0
"""What looking up, connecting and reading may take together."""
_LOOKUPS: Final = ThreadPoolExecutor(4, "lookup")
"""A name server that does not answer holds up other lookups, and not the encoders, which share the loop's threads."""


async def download(url: str, max_bytes: int, internal: Collection[str]) -> bytes:
    """The body behind an http or https `url`, up to `max_bytes`.

    Every address of its host must be a public one, unless `internal` names the host (`host` or `host:port`), and the
    connection goes to an address that was looked at, whatever the name stands for a moment later. No redirect is
    followed, no proxy is used, nothing is decompressed. Raises `BadRequest`, which tells nothing of our network.
    """
    pool = httpcore2.AsyncConnectionPool(network_backend=_Guard(internal))
    try:
        async with (
            asyncio.timeout(_SECONDS),
            pool,
            pool.stream("GET", url.encode("ascii"), headers={"accept-encoding": "identity"}) as answer,
        ):
            if answer.status != 200:
                raise bad_reference(f"its address answers {answer.status}; redirects are not followed")
            body = bytearray()
            async for piece in answer.aiter_stream():
                body += piece
                if len(body) > max_bytes:
                    raise bad_reference(f"its address holds more than {max_bytes} bytes")
            return bytes(body)
    except TimeoutError:
        raise bad_reference(f"its address did not answer within {_SECONDS:g} s") from None
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol, ValueError, OSError):
        raise bad_reference("its address cannot be fetched") from None


class _Guard(httpcore2.AsyncNetworkBackend):
    """Connects to public addresses alone; TLS and the Host header still go by the name."""

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
        """Look `host` up, and connect to the first of its addresses that answers."""
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(_LOOKUPS, look_up)
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        if not {host, f"{host}:{port}"} & set(self._internal) and not all(map(is_public, addresses)):
            raise bad_reference("its address is not a public one")
        failure: Exception | None = None
        for address in addresses:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore2.NetworkError as error:
                failure = error
        raise failure or httpcore2.ConnectError(host)


def is_public(address: str) -> bool:
    """Whether an IP address is one host's, out in the internet, and not another way to write one that is not."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        if ip.is_site_local or ip.sixtofour or ip.teredo:  # the last two carry an IPv4 address, which may be any
            return False
        ip = ip.ipv4_mapped or ip
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
