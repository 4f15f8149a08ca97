"""One trace from the client through the gateway to Triton, which sends spans of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.e2e.server import NO_NETWORK, serve

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
DEADLINE = 300


class Span(NamedTuple):
    """A span that was received; ids are hexadecimal."""

    name: str
    trace: str
    id: str
    parent: str


class Collector:
    """Takes spans by OTLP over HTTP, in both of its encodings."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._came = threading.Condition()

    def wait(self, name: str) -> Span:
        """Return the span of this name, once it is there."""
        with self._came:
            assert self._came.wait_for(lambda: name in [span.name for span in self._spans], DEADLINE), self._spans
            return next(span for span in self._spans if span.name == name)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Yield the address for the length of the block."""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                read = _of_json if self.headers["content-type"] == "application/json" else _of_protobuf
                with collector._came:
                    collector._spans += read(body) if self.path == "/v1/traces" else []
                    collector._came.notify_all()
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()


def _of_json(body: bytes) -> Iterator[Span]:
    for resource in json.loads(body)["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                yield Span(span["name"], span["traceId"], span["spanId"], span.get("parentSpanId", ""))


def _of_protobuf(body: bytes) -> Iterator[Span]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())


def test_tritons_spans_are_below_those_of_the_gateway(tmp_path: Path) -> None:
    collector = Collector()
    # Triton's exporter takes this proxy for loopback, too, whatever NO_PROXY says.
    network = {name: value for name, value in NO_NETWORK.items() if name != "ALL_PROXY"}
    with collector.serving() as url:
        settings = {"EXTRA_FAMILIES": "tests/toy_families/sine", "TTS_MODES": "sine", "STT_MODELS": "none"}
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}
        with serve(tmp_path / "serve.log", **network, **settings, **traced, JOBS="false") as server:
            body = {"model": "sine", "input": "Good morning.", "voice": "low", "response_format": "pcm"}
            answer = httpx.post(f"{server.url}/v1/audio/speech", json=body, headers=PARENT, timeout=DEADLINE)
            assert answer.status_code == 200, answer.text
            request, call, model = (collector.wait(name) for name in ("POST /v1/audio/speech", "InferRequest", "sine"))
    assert {request.trace, call.trace, model.trace} == {TRACE}
    assert call.parent == request.id
    assert model.parent == call.id
