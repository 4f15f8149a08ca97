"""The HTTP connections: uvicorn's protocol with limits on headers, on idle connections and on unread responses."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from dataclasses import dataclass
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.errors import BadRequest, HeadersTooLarge, HttpError, RequestTimeout

KEEP_ALIVE_SECONDS: Final = 75
"""An idle connection outlasts those of usual proxies (60 s), so that none sends on one that is being closed."""
_CHECKS: Final = 12
"""Looks at an unread response within the time that a client may read nothing."""
_UNSENT_BYTES: Final = 128 * 1024
"""Bytes that the kernel may hold of a response beyond those that are on their way; the rest waits where it is made."""


@dataclass(frozen=True)
class ConnectionLimits:
    """The limits of one connection."""

    header_bytes: int = 64 * 1024
    """The request line and all headers together."""
    header_seconds: float = 20.0
    """From the connection, or the first byte of a request, to the end of its headers."""
    send_seconds: float = 60.0
    """The longest time that a client may read nothing of a response that waits for it."""
    linger_seconds: float = 2.0
    """The time that a client may go on sending a rejected request."""


def limited_protocol(limits: ConnectionLimits) -> type[HttpToolsProtocol]:
    """Return the class of connections with these limits, for `uvicorn.Config(http=...)`."""
    return cast(type[HttpToolsProtocol], type("LimitedProtocol", (_LimitedProtocol,), {"limits": limits}))


class _LimitedProtocol(HttpToolsProtocol):
    """Closes connections whose client sends headers too slowly or too many of them, or stops reading."""

    limits: ConnectionLimits

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_headers = self._rejected = False
        self._header_bytes = 0
        self._header_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None
        self._unsent = 0
        self._unread_checks = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if sock := transport.get_extra_info("socket"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timers()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        self._stop_timers()
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        if self._rejected:
            return
        super().data_received(data)
        if self._rejected or self.transport.is_closing() or self.transport.get_protocol() is not self:
            return
        if self._in_headers:
            self._header_bytes += len(data)
            if self._header_bytes > self.limits.header_bytes:
                self._reject(self._too_large())
                return
        if self._in_headers or self._is_idle():
            self._expect_headers()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers, self._header_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._in_headers = False
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > self.limits.header_bytes:
            self._reject(self._too_large())
        if not self._rejected and not self.transport.is_closing():
            super().on_headers_complete()
            self._watch_reader()

    def on_body(self, body: bytes) -> None:
        if not self._rejected:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._rejected:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._reject(BadRequest(f"this is no valid HTTP request ({msg})"))

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_headers(self) -> None:
        if self._header_timer is None:
            self._header_timer = self.loop.call_later(self.limits.header_seconds, self._headers_overdue)

    def _headers_overdue(self) -> None:
        self._header_timer = None
        if not self._is_idle():
            self._expect_headers()  # a request that was sent early must not cut the response before it
        elif self._in_headers:
            self._reject(RequestTimeout(f"the headers took longer than {self.limits.header_seconds:g} s"))
        else:
            self.transport.close()

    def _too_large(self) -> HttpError:
        return HeadersTooLarge(f"the request line and the headers are over {self.limits.header_bytes} bytes")

    def _reject(self, error: HttpError) -> None:
        """Send an error in place of a response, unless one is being sent, and close the connection.

        A connection that is closed with unread bytes is reset, and the client may then lose the error: what the client
        still sends is read, and dropped, for a moment.
        """
        if self._rejected or self.transport.is_closing():
            return
        self._rejected = True
        self._stop_timers()
        if not self._is_idle():
            self.transport.close()
            return
        body = json.dumps(error.body()).encode()
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[error.status] + head + body)
        self._header_timer = self.loop.call_later(self.limits.linger_seconds, self.transport.close)

    def _watch_reader(self) -> None:
        """Look at the response soon; at regular times the buffer of a regular reader would always be the same."""
        if self._send_timer is None:
            seconds = self.limits.send_seconds / _CHECKS * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
            self._send_timer = self.loop.call_later(seconds, self._check_reader)

    def _check_reader(self) -> None:
        """Cut the connection if the client reads nothing of its response; closing it would wait for the client."""
        self._send_timer = None
        unsent = self.transport.get_write_buffer_size()
        self._unread_checks = self._unread_checks + 1 if unsent and unsent == self._unsent else 0
        self._unsent = unsent
        if self._unread_checks >= _CHECKS:
            self.logger.warning("a client stopped reading its response; its connection is cut")
            self.transport.abort()
        elif unsent or not self._is_idle():
            self._watch_reader()

    def _stop_timers(self) -> None:
        for timer in (self._header_timer, self._send_timer):
            if timer is not None:
                timer.cancel()
        self._header_timer = self._send_timer = None
