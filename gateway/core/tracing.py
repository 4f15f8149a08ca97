"""The spans of the use cases. They cost next to nothing, and go nowhere, unless `gateway.tracing` sends them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Self

from opentelemetry import propagate, trace
from opentelemetry.context import get_current
from opentelemetry.trace import Span

TRACER: Final = trace.get_tracer("tritone")

_NANO: Final = 10**9


def trace_id() -> str:
    """Return the id of the current trace; empty without one."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else ""


def outgoing_headers() -> list[tuple[str, str]]:
    """Return the current trace as W3C headers for a request to Triton; none without a trace that is sampled.

    Triton 2.51 exports the spans of every request that has them, sampled or not.
    """
    if not trace.get_current_span().get_span_context().trace_flags.sampled:
        return []
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return list(headers.items())


class SpeechTrace:
    """The span of one text's speech, below the span that is current now; spans of its parts are below it.

    A context manager, which begins and ends it.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._context = get_current()
        self._span: Span | None = None

    def __enter__(self) -> Self:
        self._span = TRACER.start_span("synthesize", self._context, attributes={"tritone.model": self._model})
        return self

    def __exit__(self, *_: object) -> None:
        assert self._span
        self._span.end()

    def encoding(self) -> AbstractContextManager[object]:
        """Return the span of the encoding of a piece."""
        assert self._span
        if not self._span.is_recording():
            return nullcontext()
        return TRACER.start_as_current_span("encode", trace.set_span_in_context(self._span, self._context))

    def first_audio(self) -> None:
        """Note the first audio from the model."""
        assert self._span
        self._span.add_event("first audio")

    def add_phases(self, seconds: Mapping[str, float]) -> None:
        """Add spans of the model's work, which ends now.

        `seconds`: phase -> its end, from the request's arrival in the model, in order.
        """
        assert self._span
        if not self._span.is_recording():
            return
        context = trace.set_span_in_context(self._span, self._context)
        arrived = time.time_ns() - round(max(seconds.values(), default=0.0) * _NANO)
        begin = arrived
        for phase, end in seconds.items():
            span = TRACER.start_span(phase, context, start_time=begin, attributes={"tritone.model": self._model})
            begin = arrived + round(end * _NANO)
            span.end(begin)
