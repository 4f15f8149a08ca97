"""One trace from the client through the gateway, received as a collector receives it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from gateway.core.tracing import outgoing_headers
from tests.fake_triton import Call, FakeTriton, Tensors
from tests.unit.gateway.conftest import FakeSpeech
from tests.unit.gateway.process import running

UNSAMPLED, SAMPLED = TraceFlags(0), TraceFlags(TraceFlags.SAMPLED)
TRACE = "0af7651916cd43dd8448eb211c80319c"
CLIENT_SPAN = "b7ad6b7169203331"
PARENT = {"traceparent": f"00-{TRACE}-{CLIENT_SPAN}-01"}
PHASES = {"queue": 0.5, "first audio": 1.25, "generate": 0.25}
BODY = {"model": "kokoro-82m", "input": "Hello.", "response_format": "mp3"}


class TimedSpeech(FakeSpeech):
    """Reports the seconds of its phases."""

    async def __call__(self, call: Call) -> AsyncIterator[Tensors]:
        async for tensors in super().__call__(call):
            if "finish_reason" in tensors:
                ends = np.cumsum(list(PHASES.values())).astype(np.float32)
                names = ("queue_seconds", "first_audio_seconds", "total_seconds")
                yield {**tensors, **{name: end.reshape(1) for name, end in zip(names, ends, strict=True)}}
            else:
                yield tensors


class Collector:
    """Takes spans by OTLP over HTTP on a port of loopback."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.url = ""

    async def __aenter__(self) -> Collector:
        self._server = await asyncio.start_server(self._take, "127.0.0.1")
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            fields = dict(line.split(": ", 1) for line in head.lower().split("\r\n")[1:] if line)
            body = await reader.readexactly(int(fields["content-length"]))
            assert head.startswith("POST /v1/traces ")
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.spans += [span for scope in resource.scope_spans for span in scope.spans]
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")
        writer.close()


async def _head(reader: asyncio.StreamReader) -> str:
    try:
        return (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return ""


async def stopped(process: asyncio.subprocess.Process) -> list[dict[str, Any]]:
    """Stop a gateway, and return the lines of its log; it sends its last spans before it ends."""
    process.terminate()
    _, log = await asyncio.wait_for(process.communicate(), 300)
    return [json.loads(line) for line in log.splitlines()]


@pytest.fixture
async def speech(triton: FakeTriton) -> FakeTriton:
    triton.handlers = {"kokoro-82m": TimedSpeech()}
    await triton.publish()
    return triton


async def test_request_has_one_trace_with_the_phases_of_the_model(speech: FakeTriton, tmp_path: Path) -> None:
    settings = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}
    async with Collector() as collector:
        settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        async with running(speech.address, tmp_path, **settings) as (process, url), httpx.AsyncClient() as client:
            answer = await client.post(f"{url}/v1/audio/speech", json=BODY, headers=PARENT, timeout=300)
            assert answer.status_code == 200
            log = await stopped(process)
    spans = [span for span in collector.spans if span.trace_id.hex() == TRACE]
    assert spans == collector.spans, "probes have none"
    by_name = {span.name: span for span in spans}
    request, work = by_name["POST /v1/audio/speech"], by_name["synthesize"]
    assert (request.parent_span_id.hex(), work.parent_span_id) == (CLIENT_SPAN, request.span_id)
    attributes = {each.key: each.value for each in request.attributes}
    assert attributes["http.response.status_code"].int_value == 200
    assert attributes["tritone.model"].string_value == "kokoro-82m"
    assert attributes["tritone.request_id"].string_value == answer.headers["x-request-id"]
    below = [span for span in spans if span.parent_span_id == work.span_id]
    assert {span.name for span in below} == {*PHASES, "encode"}
    for phase, seconds in PHASES.items():
        span = by_name[phase]
        assert (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9 == pytest.approx(seconds, abs=1e-3)
    assert by_name["queue"].end_time_unix_nano == by_name["first audio"].start_time_unix_nano
    (line,) = [line for line in log if line["message"] == "request" and line["path"] == "/v1/audio/speech"]
    assert line["trace_id"] == TRACE


async def test_without_a_collector_the_log_has_the_trace_of_the_client(speech: FakeTriton, tmp_path: Path) -> None:
    async with running(speech.address, tmp_path) as (process, url), httpx.AsyncClient() as client:
        await client.post(f"{url}/v1/audio/speech", json=BODY, headers=PARENT, timeout=300)
        await client.post(f"{url}/v1/audio/speech", json=BODY, headers={"traceparent": "nonsense"}, timeout=300)
        log = await stopped(process)
    first, second = [line for line in log if line["message"] == "request" and line["path"] == "/v1/audio/speech"]
    assert first["trace_id"] == TRACE
    assert "trace_id" not in second


@pytest.mark.parametrize(("flags", "names"), [(UNSAMPLED, []), (SAMPLED, ["traceparent"])])
def test_triton_gets_only_traces_that_are_sampled(flags: TraceFlags, names: list[str]) -> None:
    context = SpanContext(int(TRACE, 16), int(CLIENT_SPAN, 16), is_remote=True, trace_flags=flags)
    with use_span(NonRecordingSpan(context)):
        assert [name for name, _ in outgoing_headers()] == names
    assert outgoing_headers() == []
