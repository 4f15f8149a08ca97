"""The record of each request: its id, one log line, and the metrics. It never holds text, audio, voices or keys."""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field

from fastapi.routing import iter_route_contexts
from opentelemetry.trace import Span
from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.core.metrics import counter, gauge, histogram
from gateway.core.telemetry import WorkTelemetry
from gateway.core.tracing import trace_id
from gateway.tracing import describe_request, request_span

REQUESTS = counter(
    "tritone_http_requests_total",
    "Requests with a response",
    "What do the clients ask for, and what do they get?",
    *("route", "status"),
)
REFUSED = counter(
    "tritone_http_refused_total",
    "Requests that got an error response, by cause: the error's code, or what was full",
    "Why are requests refused?",
    *("route", "cause"),
)
CANCELLED = counter(
    "tritone_http_cancelled_total",
    "Requests without a complete response, by cause: client (it left), slow_reader, or the error that cut it",
    "Who leaves before the end, and what is cut?",
    *("route", "cause"),
)
IN_FLIGHT = gauge("tritone_http_requests_in_flight", "Requests being served", "How busy are the gateways?")
DURATION = histogram(
    "tritone_http_request_seconds",
    "From a request's first byte to the last byte of its response, in seconds",
    "How long does a whole request take?",
    "route",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600),
)
FIRST_BYTE = histogram(
    "tritone_http_first_byte_seconds",
    "From a request's first byte to the first byte of its response, in seconds",
    "How long does a client wait for the first byte, with its upload?",
    "route",
    buckets=(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 60),
)
AUDIO = counter(
    "tritone_http_audio_seconds_total",
    "Seconds of audio that clients of this gateway got or sent; models count theirs, with direct callers', themselves",
    "How much audio goes through the gateways?",
    "model",
)
CALLS = counter(
    "tritone_webrtc_calls_total",
    "Calls over WebRTC, by outcome: ended (by client, deadline or hang-up), unreachable (never connected), failed",
    "Can clients reach the gateway over UDP?",
    "outcome",
)

PROBES = frozenset({"/health", "/ping", "/ready", "/metrics"})
"""Requested every few seconds, and so logged at level DEBUG, and not traced."""
CLIENT_GONE = 499
"""The status that is logged if the client disconnects before the response has one."""

_LEAST_ERROR = 400
_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

logger = logging.getLogger(__name__)


@dataclass
class RequestRecord(WorkTelemetry):
    """The record of one request; the use cases add the model and the seconds of audio."""

    started: float = field(default_factory=time.perf_counter)
    """`perf_counter` seconds."""
    status: int = CLIENT_GONE
    first_byte: float | None = None
    """`perf_counter` seconds when the first byte of the response's body was sent."""
    complete: bool = False
    """Whether the response was sent to its end."""
    cause: str = ""
    """Why the request was refused, or its response cut; empty: the client left, or all is well."""


class TelemetryMiddleware:
    """Gives each request its record (`request.state.record`); logs and counts the request when it is over."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and report it afterwards."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        sent_id = Headers(scope=scope).get("x-request-id", "")
        record = RequestRecord(sent_id if _SANE_ID.fullmatch(sent_id) else uuid.uuid4().hex)
        scope.setdefault("state", {})["record"] = record

        async def watched(message: Message) -> None:
            kind = message["type"].removeprefix("websocket.")
            if kind == "http.response.start":
                record.status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = record.request_id
            elif kind == "accept":
                record.status = 101
                record.complete = True  # either side may end a session at any time
                message.setdefault("headers", [])
                MutableHeaders(scope=message)["x-request-id"] = record.request_id
            elif kind == "http.response.body":
                if message.get("body") and record.first_byte is None:
                    record.first_byte = time.perf_counter()
                record.complete = not message.get("more_body", False)
            await send(message)

        token = _request_id.set(record.request_id)
        IN_FLIGHT.inc()
        try:
            with request_span(scope, traced=scope["path"] not in PROBES) as span:
                try:
                    await self.app(scope, receive, watched)
                finally:
                    IN_FLIGHT.dec()
                    _report(scope, record, span)
        finally:
            _request_id.reset(token)


def _route(scope: Scope) -> str:
    """Return the pattern of a request's path; `other` if there is none.

    The number of labels must not grow with the paths that clients try. A request that a middleware rejects has not been
    routed, so its pattern is looked up.
    """
    route = scope.get("route")
    if route is None:
        route = max(iter_route_contexts(scope["app"].routes), key=lambda each: each.matches(scope)[0].value)
        if route.matches(scope)[0] is Match.NONE:
            return "other"
    return str(route.path)


def _report(scope: Scope, record: RequestRecord, span: Span) -> None:
    """Log and count a request that is over."""
    ended = time.perf_counter()
    route = _route(scope)
    REQUESTS.labels(route, record.status).inc()
    if not record.complete:
        CANCELLED.labels(route, record.cause or "client").inc()
    elif record.status >= _LEAST_ERROR:
        REFUSED.labels(route, record.cause or "other").inc()
    DURATION.labels(route).observe(ended - record.started)
    details: dict[str, object] = {
        "method": scope.get("method", "WEBSOCKET"),
        "path": scope["path"],
        "status": record.status,
        "ms": round((ended - record.started) * 1e3, 1),
    }
    if record.first_byte is not None:
        FIRST_BYTE.labels(route).observe(record.first_byte - record.started)
        details["first_byte_ms"] = round((record.first_byte - record.started) * 1e3, 1)
    if not record.complete:
        details["cut"] = True
    if record.cause:
        details["cause"] = record.cause
    if record.model is not None:
        details["model"] = record.model
        if record.audio_seconds:
            AUDIO.labels(record.model).inc(record.audio_seconds)
            details["audio_seconds"] = round(record.audio_seconds, 3)
    describe_request(span, scope, route, {**details, "request_id": record.request_id})
    logger.log(logging.DEBUG if route in PROBES else logging.INFO, "request", extra={"details": details})


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, request id, and a record's `details`."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of `record`, with its traceback."""
        line: dict[str, object] = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (id_ := _request_id.get()) is not None:
            line["request_id"] = id_
        if id_ := trace_id():
            line["trace_id"] = id_
        line |= getattr(record, "details", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_logging(level: str) -> None:
    """Send every logger to standard error as JSON lines; those of uvicorn and of WebRTC at level WARNING and above."""
    logging.raiseExceptions = False  # a line for which the disk has no room is lost, without a traceback
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in ("uvicorn", "aioice", "aiortc"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_is_no_refusal)


def _is_no_refusal(record: logging.LogRecord) -> bool:
    """Return False for uvicorn's error about a WebSocket that was refused: the HTTP response to it is in order."""
    return not record.getMessage().startswith("ASGI callable returned without completing handshake")
