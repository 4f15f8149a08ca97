"""Whose speech a recording holds, by the real network on recordings of people."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.unit.gateway.conftest import Gateway
from tests.unit.gateway.recordings import encoded
from tests.unit.gateway.voices.conftest import KEYS
from tests.unit.gateway.voices.test_voices import rest
from tritone.contract import LISTEN_RATE

READER = [f"librivox/sense_and_sensibility_01_austen_64kb-{n:04}.wav" for n in (870, 890)]
OTHER = "f5-tts/basic_ref_en.wav"


@pytest.fixture
def options(weights: Path) -> dict[str, Any]:
    return {"model_dir": weights, "voices_need_consent": False}


@pytest.fixture
def people(weights: Path) -> dict[str, bytes]:
    """Two recordings of one reader, and one of another."""
    names = {"one": READER[0], "same": READER[1], "other": OTHER}
    return {key: (weights / "test-recordings" / name).read_bytes() for key, name in names.items()}


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


async def post(gateway: Gateway, path: str, **request: Any) -> httpx.Response:
    async with rest(gateway) as client:
        return await client.post(path, **request)


async def test_two_recordings_of_one_reader_are_verified_and_those_of_two_are_not(
    voices_gateway: Gateway, people: dict[str, bytes]
) -> None:
    results = {}
    for name in ("same", "other"):
        body = {"model": "speaker-embedding", "audio1": b64(people["one"]), "audio2": b64(people[name])}
        response = await post(voices_gateway, "/v1/voice/verify", json=body)
        assert response.status_code == 200, response.text
        results[name] = response.json()
    assert results["same"]["verified"]
    assert not results["other"]["verified"]
    assert results["same"]["distance"] < results["same"]["threshold"] == pytest.approx(0.58)
    assert results["other"]["distance"] > 0.78
    assert results["other"]["confidence"] == 0
    assert results["same"]["confidence"] == pytest.approx(100 * (1 - results["same"]["distance"] / 0.58), abs=0.1)


async def test_a_threshold_of_the_client_decides(voices_gateway: Gateway, people: dict[str, bytes]) -> None:
    audio = b64(people["one"])
    body = {"audio1": audio, "audio2": f"data:audio/wav;base64,{b64(people['same'])}", "threshold": 0.01}
    response = await post(voices_gateway, "/v1/voice/verify", json=body)
    assert not response.json()["verified"]
    equal = await post(voices_gateway, "/v1/voice/verify", json={**body, "audio2": audio})
    assert (equal.json()["verified"], equal.json()["distance"]) == (True, pytest.approx(0, abs=1e-4))


async def test_both_routes_return_the_same_embedding(voices_gateway: Gateway, people: dict[str, bytes]) -> None:
    files = {"file": ("one.wav", people["one"])}
    name = "Wespeaker/wespeaker-voxceleb-resnet34-LM"
    listed = (await post(voices_gateway, "/v1/audio/speech/embedding", data={"model": name}, files=files)).json()
    plain = (await post(voices_gateway, "/v1/voice/embed", json={"audio": b64(people["one"])})).json()
    (item,) = listed["data"]
    assert (item["object"], listed["model"], plain["dim"]) == ("embedding", "speaker-embedding", 256)
    assert item["embedding"] == plain["embedding"]
    assert np.linalg.norm(plain["embedding"]) == pytest.approx(1, abs=1e-5)


async def test_a_speaker_is_identified_among_the_clients_registered_voices(
    voices_gateway: Gateway, people: dict[str, bytes]
) -> None:
    for name, key in (("Reader", "one"), ("Other", "other")):
        file = {"audio_sample": ("sample.wav", people[key])}
        response = await post(voices_gateway, "/v1/audio/voices", data={"name": name}, files=file)
        assert response.status_code == 200, response.text
    body = {"audio": b64(people["same"]), "top_k": 2}
    found = (await post(voices_gateway, "/v1/voice/identify", json=body)).json()["matches"]
    assert [(match["name"], match["match"]) for match in found] == [("Reader", True), ("Other", False)]
    async with rest(voices_gateway, KEYS[1]) as stranger:
        assert (await stranger.post("/v1/voice/identify", json=body)).json() == {"matches": []}


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("verify", {"audio1": "", "audio2": ""}, 400, "audio1: "),
        ("verify", {"audio1": "!", "audio2": "!"}, 400, "audio1: it is neither base64 nor a data URL"),
        ("verify", {"audio1": "http://a/b.wav", "audio2": ""}, 400, "ALLOW_REF_AUDIO_URLS"),
        ("embed", {}, 400, "audio: "),
        ("embed", {"audio": "AAAA", "model": "ecapa"}, 404, "choose speaker-embedding"),
        ("identify", {"audio": "AAAA", "top_k": 0}, 400, "top_k: "),
    ],
)
async def test_bad_requests_name_the_field(
    voices_gateway: Gateway, path: str, body: dict[str, Any], status: int, message: str
) -> None:
    response = await post(voices_gateway, f"/v1/voice/{path}", json=body)
    assert response.status_code == status
    assert message in response.json()["error"]["message"]


async def test_a_recording_without_speech_has_no_speaker(voices_gateway: Gateway) -> None:
    silent = encoded(np.zeros(LISTEN_RATE, np.float32), "wav", "pcm_s16le")
    response = await post(voices_gateway, "/v1/voice/embed", json={"audio": b64(silent)})
    assert response.status_code == 400
    assert "audio: 0.0 s of speech are in it" in response.json()["error"]["message"]
