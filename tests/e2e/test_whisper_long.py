"""Recordings of any length, straight to Triton."""

from __future__ import annotations

import io
import os
import queue
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from tests.e2e.server import ROOT, Server
from tritone.contract import LISTEN_RATE
from tritone.transcript import Segment, Transcript

DEADLINE = 300
MODELS = Path(os.environ.get("MODEL_DIR") or ROOT / "models")
CLIPS = sorted((MODELS / "test-recordings" / "librivox").glob("*.wav"))
Audio = NDArray[np.float32]


@dataclass(frozen=True)
class Window:
    """One response."""

    start: float
    seconds: float
    transcript: Transcript


class Call:
    """One recording on its way."""

    def __init__(self, client: triton.InferenceServerClient, audio: Audio, **parameters: Any) -> None:
        self._answers: queue.Queue[tuple[triton.InferResult, Exception | None]] = queue.Queue()
        self._client = client
        given = triton.InferInput("audio", [audio.size], "FP32")
        given.set_data_from_numpy(audio)
        client.start_stream(callback=lambda result, error: self._answers.put((result, error)))
        client.async_stream_infer("whisper-base-long", [given], enable_empty_final_response=True, parameters=parameters)

    def __iter__(self) -> Iterator[Window]:
        while True:
            result, error = self._answers.get(timeout=DEADLINE)
            if error is not None:
                raise error
            response = result.get_response()
            if response.parameters["triton_final_response"].bool_param:
                self._client.stop_stream()
                return
            columns = {output.name: result.as_numpy(output.name) for output in response.outputs}
            start, seconds = (float(columns.pop(name)[0]) for name in ("window_start", "window_seconds"))
            yield Window(start, seconds, Transcript.from_columns(columns))

    def leave(self) -> None:
        """Cancel the call."""
        self._client.stop_stream(cancel_requests=True)


@pytest.fixture
def direct(server: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client
        client.stop_stream()


@pytest.fixture(scope="module")
def recording() -> Audio:
    """Several speakers' sentences, with long pauses between: more than one window."""
    pieces = []
    for clip in CLIPS:
        audio, rate = soundfile.read(clip, dtype="float32")
        assert rate == LISTEN_RATE
        pieces += [audio, np.zeros(6 * LISTEN_RATE, np.float32)]
    return np.concatenate(pieces)


def segments(windows: list[Window]) -> list[Segment]:
    return [segment for window in windows for segment in window.transcript.segments]


def text(windows: list[Window]) -> str:
    return "".join(segment.text for segment in segments(windows)).strip()


def through_the_gateway(server: Server, audio: Audio, **fields: str) -> str:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(LISTEN_RATE)
        out.writeframes(np.rint(audio * 32768).clip(-32768, 32767).astype("<i2").tobytes())
    answer = httpx.post(
        f"{server.url}/v1/audio/transcriptions",
        files={"file": ("recording.wav", file.getvalue())},
        data={"model": "whisper-base", **fields},
        timeout=DEADLINE,
    )
    return str(answer.raise_for_status().json()["text"])


def test_a_recording_is_heard_window_by_window_in_its_own_time(
    server: Server, direct: triton.InferenceServerClient, recording: Audio
) -> None:
    windows = list(Call(direct, recording))
    assert len(windows) > 1
    assert [window.start for window in windows] == sorted(window.start for window in windows)
    assert {window.transcript.language for window in windows} == {"en"}
    for window in windows:
        assert window.seconds <= 30
        for segment in window.transcript.segments:
            assert window.start - 0.01 <= segment.start <= segment.end <= window.start + window.seconds + 0.01
    assert text(windows) == through_the_gateway(server, recording)


def test_each_window_may_follow_the_text_before_it(
    server: Server, direct: triton.InferenceServerClient, recording: Audio
) -> None:
    windows = list(Call(direct, recording, language="en", condition_on_previous_text=True, prompt="Jane Austen:"))
    fields = {"language": "en", "prompt": "Jane Austen:", "condition_on_previous_text": "true"}
    assert text(windows) == through_the_gateway(server, recording, **fields)


def test_what_is_asked_for_reaches_every_window(direct: triton.InferenceServerClient, recording: Audio) -> None:
    windows = list(Call(direct, recording, language="en,fr", word_timestamps=True, logprobs=True, temperature=0.0))
    for segment in segments(windows):
        assert segment.start <= segment.words[0].start <= segment.words[-1].end <= segment.end + 0.01
        assert len(segment.token_logprobs) == len(segment.tokens)


@pytest.mark.parametrize("kind", ["silence", "noise"])
def test_a_recording_without_speech_gives_no_response_but_the_end(
    direct: triton.InferenceServerClient, kind: str
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 40 * LISTEN_RATE).astype(np.float32)
    assert list(Call(direct, noise * (kind == "noise"))) == []


@pytest.mark.parametrize(
    ("audio", "parameters", "message"),
    [
        (np.zeros(0, np.float32), {}, "audio: "),
        (np.full(LISTEN_RATE, np.nan, np.float32), {}, "audio: "),
        (np.zeros(LISTEN_RATE, np.float32), {"speed": 2}, "speed: unknown parameter"),
    ],
    ids=["empty", "nan", "parameter"],
)
def test_a_wrong_recording_is_refused_with_the_fields_name(
    direct: triton.InferenceServerClient, audio: Audio, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InferenceServerException, match=message):
        list(Call(direct, audio, **parameters))


def test_what_only_the_model_knows_to_be_wrong_is_refused_in_its_words(
    direct: triton.InferenceServerClient, recording: Audio
) -> None:
    with pytest.raises(InferenceServerException, match="language: 'klingon' is unknown"):
        list(Call(direct, recording, language="klingon"))


def test_a_caller_who_leaves_stops_the_work(
    server: Server, direct: triton.InferenceServerClient, recording: Audio
) -> None:
    counter = 'nv_inference_request_success{model="whisper-base",version="1"}'
    call = Call(direct, np.concatenate([recording] * 20), language="en")
    next(iter(call))
    call.leave()
    assert list(Call(direct, np.zeros(LISTEN_RATE, np.float32))) == []
    before = server.metrics()[counter]
    list(Call(direct, recording, language="en"))
    assert server.metrics()[counter] - before < 20
