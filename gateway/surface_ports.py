"""Surfaces at the root of a port of their own, as the services that they replace had them."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.surfaces import Surface
from tritone.settings import UnusableSettingError


class SurfacePortsMiddleware:
    """Passes the requests that arrive on a surface's port to the paths of that surface."""

    def __init__(self, app: ASGIApp, prefixes: Mapping[int, str]) -> None:
        """`prefixes`: local port -> the prefix of the surface, such as `/whisper`."""
        self.app = app
        self.prefixes = dict(prefixes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; on a surface's port, its path is one below the surface's prefix."""
        server = scope.get("server")
        prefix = self.prefixes.get(server[1]) if server else None
        if prefix and not scope["path"].startswith(f"{prefix}/"):
            scope = {**scope, "path": prefix + scope["path"], "raw_path": prefix.encode() + scope.get("raw_path", b"")}
        await self.app(scope, receive, send)


def prefixes_by_port(ports: Mapping[str, int], surfaces: Iterable[Surface]) -> dict[int, str]:
    """Return the prefix of the surface of each port; a surface's name is its prefix. Raises `UnusableSettingError`."""
    known = {surface.prefix.strip("/"): surface.prefix.rstrip("/") for surface in surfaces if surface.prefix}
    for name in ports:
        if name not in known:
            raise UnusableSettingError(f"SURFACE_PORTS: there is no {name!r}; choose from {', '.join(known)}")
    if len(set(ports.values())) < len(ports):
        raise UnusableSettingError("SURFACE_PORTS: two surfaces have the same port")
    return {port: known[name] for name, port in ports.items()}


def bind(host: str, ports: Iterable[int]) -> list[socket.socket]:
    """Return a socket for each port. Raises `UnusableSettingError` for a port that is not free.

    A connection is refused until the server listens.
    """
    sockets = []
    for port in ports:
        bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if bound.family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sockets.append(bound)
        try:
            bound.bind((host, port))
        except OSError as error:
            problem = f"API_HOST, API_PORT, SURFACE_PORTS: {host}:{port} cannot be listened on: {error.strerror}"
            raise UnusableSettingError(problem) from error
    return sockets
