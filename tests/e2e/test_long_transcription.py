"""Recordings of any length, sent to Triton without the gateway: the model `transcription-long`."""

from __future__ import annotations

import io
import os
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

from tests.e2e.direct import DEADLINE, Stream
from tests.e2e.server import ROOT, Server
from tritone.contract import LISTEN_RATE
from tritone.transcript import Segment, Transcript

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
    """The transcription of one recording: an iterator of its windows."""

    def __init__(
        self, client: triton.InferenceServerClient, audio: Audio, model: str = "whisper-base", **parameters: Any
    ) -> None:
        self._stream = Stream(client, "transcription-long", {"audio": audio}, model=model, **parameters)

    def __iter__(self) -> Iterator[Window]:
        for columns in self._stream:
            start, seconds = (float(columns.pop(name)[0]) for name in ("window_start", "window_seconds"))
            yield Window(start, seconds, Transcript.from_columns(columns))

    def cancel(self) -> None:
        """Cancel the call."""
        self._stream.cancel()


@pytest.fixture
def direct(server: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client
        client.stop_stream()


@pytest.fixture(scope="module")
def recording() -> Audio:
    """Sentences of several speakers with long pauses between them: more than one window."""
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


def transcribe_through_the_gateway(server: Server, audio: Audio, **fields: str) -> str:
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


def test_each_window_is_a_response_with_times_from_the_recordings_start(
    direct: triton.InferenceServerClient, recording: Audio
) -> None:
    windows = list(Call(direct, recording))
    assert len(windows) > 1
    assert [window.start for window in windows] == sorted(window.start for window in windows)
    assert {window.transcript.language for window in windows} == {"en"}
    for window in windows:
        assert window.seconds <= 30
        for segment in window.transcript.segments:
            assert window.start - 0.01 <= segment.start <= segment.end <= window.start + window.seconds + 0.01


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({}, {}),
        (
            {"language": "en", "condition_on_previous_text": True, "prompt": "Jane Austen:"},
            {"language": "en", "condition_on_previous_text": "true", "prompt": "Jane Austen:"},
        ),
    ],
    ids=["independent windows", "windows with the text before them"],
)
def test_text_equals_that_of_the_gateway(
    server: Server,
    direct: triton.InferenceServerClient,
    recording: Audio,
    parameters: dict[str, Any],
    fields: dict[str, str],
) -> None:
    direct_text = text(list(Call(direct, recording, **parameters)))
    assert direct_text == transcribe_through_the_gateway(server, recording, **fields)


def test_model_may_be_left_out_where_only_one_is_served(direct: triton.InferenceServerClient, recording: Audio) -> None:
    clip = recording[: 20 * LISTEN_RATE]
    named, unnamed = (list(Call(direct, clip, model, language="en")) for model in ("whisper-base", ""))
    assert text(named)
    assert named == unnamed


def test_options_apply_to_every_window(direct: triton.InferenceServerClient, recording: Audio) -> None:
    windows = list(Call(direct, recording, language="en,fr", word_timestamps=True, logprobs=True, temperature=0.0))
    assert len(windows) > 1
    for segment in segments(windows):
        assert segment.start <= segment.words[0].start <= segment.words[-1].end <= segment.end + 0.01
        assert len(segment.token_logprobs) == len(segment.tokens)


@pytest.mark.parametrize("kind", ["silence", "noise"])
def test_recording_without_speech_has_no_windows(direct: triton.InferenceServerClient, kind: str) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 40 * LISTEN_RATE).astype(np.float32)
    assert list(Call(direct, noise * (kind == "noise"))) == []


@pytest.mark.parametrize(
    ("audio", "parameters", "message"),
    [
        (np.zeros(0, np.float32), {}, "audio: "),
        (np.full(LISTEN_RATE, np.nan, np.float32), {}, "audio: "),
        (np.zeros(LISTEN_RATE, np.float32), {"speed": 2}, "speed: unknown parameter"),
        (np.zeros(LISTEN_RATE, np.float32), {"model": "whisper-giant"}, "model: 'whisper-giant'.*whisper-base"),
        (np.zeros(LISTEN_RATE, np.float32), {"model": "kokoro-82m"}, "model: 'kokoro-82m'.*whisper-base"),
    ],
    ids=["empty", "nan", "parameter", "unknown model", "speech model"],
)
def test_invalid_recording_is_rejected_with_the_fields_name(
    direct: triton.InferenceServerClient, audio: Audio, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InferenceServerException, match=message):
        list(Call(direct, audio, **parameters))


def test_value_that_only_the_transcription_model_can_check_is_rejected_with_its_text(
    direct: triton.InferenceServerClient, recording: Audio
) -> None:
    with pytest.raises(InferenceServerException, match="language: 'klingon' is unknown"):
        list(Call(direct, recording, language="klingon"))


def test_cancelled_recording_sends_no_further_windows_to_the_model(
    server: Server, direct: triton.InferenceServerClient, recording: Audio
) -> None:
    counter = 'nv_inference_request_success{model="whisper-base",version="1"}'
    call = Call(direct, np.concatenate([recording] * 20), language="en")
    next(iter(call))
    call.cancel()
    assert list(Call(direct, np.zeros(LISTEN_RATE, np.float32))) == []
    before = server.metrics()[counter]
    list(Call(direct, recording, language="en"))
    assert server.metrics()[counter] - before < 20
