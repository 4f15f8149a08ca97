"""OpenTelemetry: the span of each request, and the exporter that sends spans to a collector by OTLP over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind, StatusCode
from starlette.datastructures import Headers
from starlette.types import Scope

from gateway.core.tracing import TRACER
from tritone import VERSION

_LEAST_FAULT = 500


def configure_tracing(endpoint: str) -> None:
    """Send the spans of this process to the collector at `endpoint`; call it once. What is left is sent at exit."""
    # A gateway that sends no traces does not need the exporter.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({"service.name": "tritone", "service.version": VERSION}))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


@contextmanager
def request_span(scope: Scope, *, traced: bool) -> Iterator[Span]:
    """Make the span of a request current, if it is `traced`; it continues the trace of the client's `traceparent`.

    Without an exporter it only carries the client's trace to Triton, and a request without one has no span.
    """
    headers = Headers(scope=scope)
    is_sent = not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    if not traced or not (is_sent or "traceparent" in headers):
        yield trace.INVALID_SPAN
        return
    method = scope.get("method", "WEBSOCKET")
    parent = propagate.extract(dict(headers))
    attributes = {"http.request.method": method}
    with TRACER.start_as_current_span(method, parent, SpanKind.SERVER, attributes) as span:
        yield span


def describe_request(span: Span, scope: Scope, route: str, details: dict[str, object]) -> None:
    """Add to a request's span what is known at its end."""
    if not span.is_recording():
        return
    span.update_name(f"{scope.get('method', 'WEBSOCKET')} {route}")
    span.set_attribute("http.route", route)
    status = details["status"]
    assert isinstance(status, int)
    span.set_attribute("http.response.status_code", status)
    for name in ("request_id", "model", "audio_seconds", "cause"):
        value = details.get(name)
        if isinstance(value, str | float):
            span.set_attribute(f"tritone.{name}", value)
    if status >= _LEAST_FAULT:
        span.set_status(StatusCode.ERROR)
