"""The places of requests: in work, waiting for their bodies and delivering to slow readers; each caller has a share."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.core.admission import drop_one
from gateway.core.metrics import gauge
from gateway.errors import HttpError, RateLimited
from gateway.request_context import sent_keys
from gateway.settings import GatewaySettings
from gateway.telemetry import RequestRecord

PLACES: Final = gauge(
    "tritone_http_places",
    "Places that requests have, by kind: work, bodies (arriving), deliveries (to slow readers), sessions (live)",
    "What are the gateways busy with?",
    "kind",
)
LIMIT: Final = gauge("tritone_http_places_limit", "All places of this kind", "How many requests fit?", "kind")
_SLOW_SECONDS: Final = 1.0
"""A client that takes longer to read what lies ready is a slow reader."""


class FairnessMiddleware:
    """Gives each POST request, which makes a model work, and each WebSocket a place, or raises `RateLimited`.

    A request waits for its body in a place of its own kind, then takes one of the places for work, and moves to a place
    for deliveries when its client reads slowly. A caller, an API key or without keys an address, has a share of each.
    """

    def __init__(self, app: ASGIApp, settings: GatewaySettings) -> None:
        self.app = app
        self.keyed = bool(settings.api_keys)
        self.audio_seconds = settings.caller_audio_seconds
        share = settings.caller_share
        self.bodies = _Places(settings.max_waiting_bodies, share, "bodies", "requests whose bodies are still arriving")
        self.work = _Places(settings.max_requests, share, "work", "requests")
        self.deliveries = _Places(settings.max_deliveries, 1.0, "deliveries", "slow readers")
        self.sessions = _Places(settings.max_realtime_sessions, share, "sessions", "live sessions")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and raise an `HttpError` here or from its `receive` or `send`."""
        if scope["type"] != "websocket" and (scope["type"] != "http" or scope["method"] != "POST"):
            await self.app(scope, receive, send)
            return
        record: RequestRecord = scope["state"]["record"]
        record.caller = self._caller(scope)
        visit = _Visit(record)

        def take_session() -> Callable[[], None]:
            session = _Visit(record)
            session.move(self.sessions)
            return session.leave

        # For a route whose session outlasts its response: it returns the function that gives the place back.
        scope["state"]["take_session"] = take_session
        try:
            if scope["type"] == "websocket":
                visit.move(self.sessions)
                await self.app(scope, receive, send)
            else:
                await self._serve(visit, scope, receive, send)
        finally:
            visit.leave()

    async def _serve(self, visit: _Visit, scope: Scope, receive: Receive, send: Send) -> None:
        self._check_work(visit)  # before a body is sent in vain
        headers = Headers(scope=scope)
        has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        visit.move(self.bodies if has_body else self.work)
        failure: HttpError | None = None

        async def receive_placed() -> Message:
            nonlocal failure
            message = await receive()
            if visit.place is self.bodies and message["type"] == "http.request" and not message.get("more_body"):
                try:
                    self._check_work(visit)
                    visit.move(self.work)
                except HttpError as error:
                    failure = error
                    raise
            return message

        async def send_placed(message: Message) -> None:
            # A parser may have taken the error for a malformed body; the response is still this error.
            if failure and message["type"] == "http.response.start":
                raise failure
            if visit.place is not self.work:
                await visit.send(send, message)
                return
            timer = asyncio.get_running_loop().call_later(_SLOW_SECONDS, self._deliver, visit)
            try:
                await visit.send(send, message)
            finally:
                timer.cancel()

        await self.app(scope, receive_placed, send_placed)

    def _check_work(self, visit: _Visit) -> None:
        """Raise `RateLimited` if there is no place for work, or the caller's others are too much work already."""
        self.work.check(visit.caller)
        if not self.audio_seconds:
            return
        seconds = sum(other.record.work_seconds for other in self.work.visits if other.caller == visit.caller)
        if seconds > self.audio_seconds:
            problem = f"your other requests hold {seconds:.0f} s of audio; wait until they are done"
            raise RateLimited(problem, cause="caller_audio")

    def _deliver(self, visit: _Visit) -> None:
        """Move a slow reader out of its place for work; it takes that of the caller with the most, if all are taken."""
        if len(self.deliveries.visits) >= self.deliveries.limit:
            caller, _ = self.deliveries.held.most_common(1)[0]
            next(other for other in self.deliveries.visits if other.caller == caller).evict()
        visit.move(self.deliveries)

    def _caller(self, scope: Scope) -> str:
        """Return a name of the caller that reveals no key."""
        if self.keyed and (keys := sent_keys(scope)):
            return hashlib.sha256(keys[0].encode("latin-1")).hexdigest()
        return _network(scope["client"][0]) if scope.get("client") else ""


@lru_cache
def _network(host: str) -> str:
    """Return the network of 64 bits of an IPv6 address, in which a host chooses freely; any other host as it is."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(int(address) >> 64) if isinstance(address, IPv6Address) else host


class _Places:
    """At most `limit` visits, and `share` of them, rounded up, of one caller."""

    def __init__(self, limit: int, share: float, kind: str, noun: str) -> None:
        self.limit = limit
        self.taken = PLACES.labels(kind)
        LIMIT.labels(kind).set(limit)
        self._cause = f"{kind}_full"
        self.share = max(1, math.ceil(limit * share))
        self.noun = noun
        self.visits: dict[_Visit, None] = {}
        """The oldest first."""
        self.held: Counter[str] = Counter()

    def check(self, caller: str) -> None:
        """Raise `RateLimited` if there is no place for this caller."""
        if len(self.visits) >= self.limit:
            problem = f"this server is at capacity ({self.limit} {self.noun}); try again"
            raise RateLimited(problem, cause=self._cause)
        if self.held[caller] >= self.share:
            problem = f"you have {self.held[caller]} of {self.limit} {self.noun} here; wait until one is done"
            raise RateLimited(problem, cause="caller_share")


class _Visit:
    """A request and its place."""

    def __init__(self, record: RequestRecord) -> None:
        self.record = record
        self.caller = record.caller
        self.place: _Places | None = None
        self._evicted = False
        self._sending: asyncio.Timeout | None = None

    def move(self, place: _Places) -> None:
        """Leave the place, and take one in `place`. Raises `RateLimited`, and then keeps it."""
        place.check(self.caller)
        self.leave()
        self.place = place
        place.visits[self] = None
        place.held[self.caller] += 1
        place.taken.inc()

    def leave(self) -> None:
        """Give up the place, if there is one."""
        if self.place is not None:
            del self.place.visits[self]
            drop_one(self.place.held, self.caller)
            self.place.taken.dec()
            self.place = None

    async def send(self, send: Send, message: Message) -> None:
        """Send a message. Raises `ClientDisconnect` if the visit is evicted."""
        try:
            async with asyncio.timeout(None) as self._sending:
                await send(message)
        except TimeoutError:
            raise ClientDisconnect from None
        finally:
            self._sending = None
        if self._evicted:
            raise ClientDisconnect

    def evict(self) -> None:
        """Give up the place, and cut the response."""
        self.leave()
        self._evicted = True
        self.record.cause = "slow_reader"
        if self._sending is not None:
            self._sending.reschedule(0)
