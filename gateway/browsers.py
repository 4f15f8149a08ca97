"""The guard against web pages of strangers, whose scripts a user's browser runs: checks of Host and Origin."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import Forbidden

_PRIVATE_ZONES: Final = (".home.arpa", ".internal", ".local", ".localhost", ".test")
"""Names that no public name server answers for."""
_SHOWN: Final = 100
"""Characters of a rejected header that the error repeats."""


class BrowserGuardMiddleware:
    """Rejects requests that a page of a stranger may have made, so that it cannot use a server that needs no key.

    Host: a page can point its own name at this address (DNS rebinding). If `check_host`, only names are accepted that
    a stranger cannot own, and `hosts`. Origin: browsers open WebSockets to any server. If `check_origin`, one is
    accepted from this server's own pages, loopback, programs that are no web page, and `origins`.
    """

    def __init__(
        self, app: ASGIApp, hosts: Sequence[str], origins: Sequence[str], check_host: bool, check_origin: bool
    ) -> None:
        self.app = app
        self.hosts = [host.lower() for host in hosts]
        self.origins = [origin.lower().rstrip("/") for origin in origins]
        self.check_host = check_host and "*" not in hosts
        self.check_origin = check_origin and "*" not in origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or raise `Forbidden`."""
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            host, origin = headers.get("host", ""), headers.get("origin", "")
            if self.check_host and not self._is_known_host(host):
                raise Forbidden(f"Host: {host[:_SHOWN]!r} is not a name of this server; add it to ALLOWED_HOSTS")
            if scope["type"] == "websocket" and self.check_origin and not self._is_known_origin(origin, host):
                raise Forbidden(f"Origin: {origin[:_SHOWN]!r} may not open a WebSocket; add it to CORS_ORIGINS")
        await self.app(scope, receive, send)

    def _is_known_host(self, host: str) -> bool:
        name = _name(host)
        return (
            "." not in name  # a public name has a dot
            or name.endswith(_PRIVATE_ZONES)
            or _is_address(name)
            or any(name == known or (known.startswith("*.") and name.endswith(known[1:])) for known in self.hosts)
        )

    def _is_known_origin(self, origin: str, host: str) -> bool:
        if not origin:
            return True  # no browser
        origin = origin.lower()
        if origin in self.origins:
            return True
        scheme, _, rest = origin.partition("://")
        if scheme not in ("http", "https"):
            return bool(rest)  # an extension or a desktop program; "null" is a page that hides its origin
        return rest == host.lower() or is_loopback(_name(rest))


def is_loopback(name: str) -> bool:
    """Return whether a host's name or address is this machine's loopback."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return _is_address(name) and ip_address(name).is_loopback


def _name(host: str) -> str:
    """Return the name in `host:port`, in lower case; an IPv6 address without its brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return host  # no known name holds such characters


@lru_cache
def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
