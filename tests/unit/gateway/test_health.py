"""Liveness, readiness, metrics and the schema page."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.core.speech_detectors import SpeechDetectors
from tests.fake_triton import FakeTriton
from tests.unit.gateway.conftest import Gateway, Serve
from tritone.contract import SpeechOptions
from tritone.served import GpuMemory


async def test_the_gateway_is_ready_when_every_model_is(gateway: Gateway) -> None:
    states = {"kokoro-82m": "ready", "whisper-base": "ready"}
    assert (await gateway.http.get("/health")).json() == {"status": "ok", "models": states, "gpus": []}
    answer = await gateway.http.get("/ready")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "ready", "models": ["kokoro-82m", "whisper-base"]},
    )


async def test_the_gateway_is_not_ready_while_a_model_is_loading_and_names_it(
    gateway: Gateway, triton: FakeTriton
) -> None:
    triton.states["whisper-base"] = "loading"
    await gateway.follow(triton)
    answer = await gateway.http.get("/ready")
    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == "not serving yet: whisper-base"
    assert answer.headers["retry-after"]
    assert (await gateway.http.get("/health")).status_code == 200


async def test_the_gateway_is_healthy_but_not_ready_without_triton(serve: Serve) -> None:
    async with serve(triton_grpc_url="127.0.0.1:1") as gateway:
        answer = await gateway.http.get("/ready")
        assert answer.status_code == 503
        assert answer.json()["error"]["message"] == "not serving yet: no Triton server was reached"
        assert (await gateway.http.get("/health")).status_code == 200


async def test_the_gateway_is_ready_when_one_of_several_servers_is(serve: Serve, triton: FakeTriton) -> None:
    async with serve(triton_grpc_url=f"127.0.0.1:1, {triton.address}") as gateway:
        assert (await gateway.http.get("/ready")).status_code == 200


async def test_the_gateway_is_not_ready_to_transcribe_without_the_detectors_weights(
    serve: Serve, triton: FakeTriton, tmp_path: Path
) -> None:
    async with serve(detectors=SpeechDetectors(tmp_path)) as gateway:
        answer = await gateway.http.get("/ready")
        assert answer.status_code == 503
        path = tmp_path / "silero-vad" / "silero_vad_16k_sequence.onnx"
        assert f"{path} is missing; fetch it with: scripts/fetch_models silero-vad" in answer.text
        del triton.handlers["whisper-base"]
        await gateway.follow(triton)
        assert (await gateway.http.get("/ready")).status_code == 200


async def samples(gateway: Gateway) -> dict[tuple[str, ...], float]:
    text = (await gateway.http.get("/metrics")).text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_metrics_count_requests_audio_and_first_bytes(gateway: Gateway) -> None:
    route = "/v1/audio/speech"
    before = await samples(gateway)
    body = {"model": "tts-1", "input": "Hello.", "response_format": "pcm"}
    assert (await gateway.http.post(route, json=body)).status_code == 200
    assert (await gateway.http.post(route, json={**body, "input": ""})).status_code == 400
    assert (await gateway.http.get("/nowhere/at/all")).status_code == 404
    after = await samples(gateway)

    def grown(*key: str) -> float:
        return after.get(key, 0) - before.get(key, 0)

    assert grown("tritone_http_requests_total", route, "200") == 1
    assert grown("tritone_http_requests_total", route, "400") == 1
    assert grown("tritone_http_requests_total", "other", "404") == 1
    assert grown("tritone_http_first_byte_seconds_count", route) == 2
    assert grown("tritone_http_audio_seconds_total", "kokoro-82m") == pytest.approx(1.2)
    assert after["tritone_http_requests_in_flight",] == 1  # the request for the metrics


async def test_the_schema_has_the_real_bodies_options_and_errors(gateway: Gateway) -> None:
    schema = (await gateway.http.get("/openapi.json")).json()
    speech = schema["paths"]["/v1/audio/speech"]["post"]
    assert speech["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/SpeechBody")
    fields = schema["components"]["schemas"]["SpeechBody"]["properties"]
    options = {f.name: f.metadata["doc"] for f in dataclasses.fields(SpeechOptions) if f.metadata["group"]}
    assert {"temperature", "seed"} <= options.keys()
    assert all(fields[name]["description"].startswith(doc) for name, doc in options.items())
    assert {"audio/mpeg", "audio/ogg", "text/event-stream"} <= speech["responses"]["200"]["content"].keys()
    for name, path in schema["paths"].items():
        for operation in path.values() if name.startswith("/v1/") else ():
            assert operation["responses"]["4XX"]["content"]["application/json"]["schema"]["$ref"].endswith(
                "/ErrorEnvelope"
            )
            assert "422" not in operation["responses"]
    assert "HTTPValidationError" not in schema["components"]["schemas"]


async def test_health_has_the_memory_of_the_gpus(gateway: Gateway, triton: FakeTriton) -> None:
    triton.gpus = (GpuMemory(11.5, 80.0), GpuMemory(0.5, 80.0))
    await gateway.follow(triton)
    gpus = (await gateway.http.get("/health")).json()["gpus"]
    assert gpus == [{"used_gb": 11.5, "total_gb": 80.0}, {"used_gb": 0.5, "total_gb": 80.0}]
    omni = (await gateway.http.get("/omni/health")).json()
    assert (omni["gpu_available"], omni["gpu_memory_allocated_gb"], omni["gpu_memory_reserved_gb"]) == (
        True,
        12.0,
        12.0,
    )
