"""Voice activity: the spans of speech, and the routes that return them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.decoding import AudioFile
from gateway.core.speech_detectors import SpeechDetectors
from gateway.core.speech_spans import Span, SpanOptions, spans
from tests.unit.gateway.conftest import Gateway, Serve
from tests.unit.gateway.recordings import encoded, parts
from tritone.contract import LISTEN_RATE
from tritone.windowing import FRAME

TIMESTAMPS = "/v1/audio/speech/timestamps"


def in_frames(found: list[Span]) -> list[tuple[float, float]]:
    return [(span.start / FRAME, span.end / FRAME) for span in found]


def of(probability: list[float], **options: Any) -> list[tuple[float, float]]:
    wanted = SpanOptions(**{"least_silence": 0.0, "pad": 0.0, **options})
    return in_frames(spans(np.array(probability, np.float32), len(probability) * FRAME, wanted))


SECONDS = FRAME / LISTEN_RATE


@pytest.mark.parametrize(
    ("probability", "options", "wanted"),
    [
        ([], {}, []),
        ([0.1, 0.2], {}, []),
        ([0.1, 0.6, 0.4, 0.3, 0.6], {}, [(1, 3), (4, 5)]),
        ([0.6, 0.3, 0.6], {"release": 0.2}, [(0, 3)]),
        ([0.9, 0.0, 0.9, 0.0, 0.0, 0.9], {"least_silence": 2 * SECONDS}, [(0, 3), (5, 6)]),
        ([0.9, 0.0, 0.9, 0.9, 0.0, 0.9], {"least_speech": 2 * SECONDS}, [(2, 4)]),
        ([0.9, 0.9, 0.9, 0.6, 0.9, 0.9], {"most_speech": 4 * SECONDS}, [(0, 3), (3, 6)]),
        ([0.0, 0.0, 0.9, 0.0, 0.9, 0.0], {"pad": SECONDS}, [(1, 3.5), (3.5, 6)]),
        ([0.9, 0.9], {"pad": 1.0}, [(0, 2)]),
    ],
)
def test_spans_follow_the_options(probability: list[float], options: dict[str, Any], wanted: list[Any]) -> None:
    assert of(probability, **options) == wanted


@given(
    st.lists(st.floats(0, 1, width=32), max_size=60),
    st.integers(0, FRAME - 1),
    st.builds(
        SpanOptions,
        threshold=st.floats(0.05, 0.95),
        least_speech=st.floats(0, 0.3),
        most_speech=st.floats(0.1, 1),
        least_silence=st.floats(0, 0.3),
        pad=st.floats(0, 0.5),
    ),
)
def test_spans_are_in_order_and_inside_the_recording(
    probability: list[float], missing: int, options: SpanOptions
) -> None:
    samples = max(0, len(probability) * FRAME - missing)
    found = spans(np.array(probability, np.float32), samples, options)
    edges = [edge for span in found for edge in (span.start, span.end)]
    assert edges == sorted(edges)
    assert all(span.start < span.end for span in found)
    assert not edges or (edges[0] >= 0 and edges[-1] <= samples)
    longest = max((options.most_speech + 2 * options.pad) * LISTEN_RATE, FRAME) + 2
    assert all(span.end - span.start <= longest for span in found)


async def timestamps(gateway: Gateway, file: bytes, **fields: Any) -> Any:
    response = await gateway.http.post(TIMESTAMPS, data=fields, files={"file": ("a.flac", file)})
    return response.json()


async def test_speech_of_a_file_is_in_milliseconds(gateway: Gateway) -> None:
    pcm = np.concatenate([np.zeros(LISTEN_RATE), parts(1), np.zeros(LISTEN_RATE)]).astype(np.float32)
    loud = np.flatnonzero(np.abs(pcm) > 0.05) * 1000 / LISTEN_RATE
    (found,) = await timestamps(gateway, encoded(pcm, "flac", "flac"), min_silence_duration_ms="30000")
    assert (found["start"], found["end"]) == (pytest.approx(loud[0], abs=33), pytest.approx(loud[-1], abs=33))


async def test_speech_of_samples_is_in_seconds(gateway: Gateway) -> None:
    pcm = np.zeros(3 * LISTEN_RATE)
    pcm[LISTEN_RATE : 2 * LISTEN_RATE] = 0.5
    for path in ("/v1/vad", "/vad"):
        response = await gateway.http.post(path, json={"model": "silero-vad", "audio": pcm.tolist()})
        (found,) = response.json()["segments"]
        assert found == {"start": pytest.approx(0.97, abs=0.04), "end": pytest.approx(2.03, abs=0.04)}


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v1/vad", {"json": {"audio": []}}, 400, "audio: "),
        ("/v1/vad", {"json": {}}, 400, "audio: "),
        ("/v1/vad", {"json": {"audio": ["x"]}}, 400, "audio: "),
        ("/v1/vad", {"json": {"audio": [0.0], "model": "marblenet"}}, 404, "choose silero-vad"),
        ("/v1/vad", {"content": b"{"}, 400, "body: it is not JSON"),
        (TIMESTAMPS, {"files": {"file": ("a.wav", b"no audio")}}, 400, "file: it could not be decoded"),
        (TIMESTAMPS, {"files": {"file": ("a.wav", b"x")}, "data": {"threshold": "2"}}, 400, "threshold: "),
    ],
)
async def test_bad_requests_name_the_field(
    gateway: Gateway, path: str, body: dict[str, Any], status: int, message: str
) -> None:
    response = await gateway.http.post(path, **body)
    assert response.status_code == status
    assert message in response.json()["error"]["message"]


async def test_real_speech_is_found_by_both_routes(serve: Serve, weights: Path) -> None:
    path = weights / "test-recordings" / "librivox/sense_and_sensibility_01_austen_64kb-0870.wav"
    with path.open("rb") as file:
        pcm = np.concatenate(list(AudioFile(file, LISTEN_RATE, 60, "file").clean_blocks()))
    quiet = np.concatenate([np.zeros(2 * LISTEN_RATE), pcm * 0.01, np.zeros(2 * LISTEN_RATE)]).astype(np.float32)
    async with serve(detectors=SpeechDetectors(weights)) as gateway:
        spoken = await timestamps(gateway, encoded(quiet, "flac", "flac"), threshold="0.5")
        answer = await gateway.http.post("/v1/vad", json={"audio": np.round(quiet, 5).tolist()})
    end = 2 + len(pcm) / LISTEN_RATE
    assert spoken
    assert 1900 < spoken[0]["start"] < 3500
    assert (end - 1.5) * 1000 < spoken[-1]["end"] <= end * 1000 + 100
    segments = answer.json()["segments"]
    assert segments[0]["start"] == pytest.approx(spoken[0]["start"] / 1000, abs=0.1)
    assert segments[-1]["end"] == pytest.approx(spoken[-1]["end"] / 1000, abs=0.1)
