"""Qwen2.5-Omni in a real Triton, on checkpoints with random weights in the published layout, plain and AWQ."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
import soundfile
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from tests.conftest import MODEL_DIR
from tests.e2e.direct import DEADLINE, Stream
from tests.e2e.server import Server
from tritone.transcript import Transcript

MODELS = ("qwen2.5-omni-7b", "qwen2.5-omni-7b-awq")
CLIPS = sorted((MODEL_DIR / "test-recordings" / "librivox").glob("*.wav"))[:5]
GREEDY: dict[str, Any] = {"temperature": 0.0}


@pytest.fixture(scope="module")
def sdk(omni: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{omni.url}/v1", api_key="unused", max_retries=0, timeout=DEADLINE) as client:
        yield client


@pytest.fixture
def direct(omni: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(omni.grpc) as client:
        yield client


def samples_of(clip: Path) -> np.ndarray:
    samples, rate = soundfile.read(clip, dtype="float32")
    assert rate == 16_000
    return samples


@pytest.mark.parametrize("model", MODELS)
def test_recordings_at_once_have_the_texts_that_each_has_alone(sdk: openai.OpenAI, model: str) -> None:
    def transcribe(clip: Path) -> str:
        return sdk.audio.transcriptions.create(model=model, file=clip, **GREEDY).text

    alone = [transcribe(clip) for clip in CLIPS]
    with ThreadPoolExecutor(len(CLIPS)) as clients:
        assert list(clients.map(transcribe, CLIPS)) == alone
    assert all(alone)


def test_text_is_streamed_as_it_is_decoded(sdk: openai.OpenAI) -> None:
    whole = sdk.audio.transcriptions.create(model=MODELS[0], file=CLIPS[0], **GREEDY).text
    events = list(sdk.audio.transcriptions.create(model=MODELS[0], file=CLIPS[0], stream=True, **GREEDY))
    *deltas, done = events
    assert done.type == "transcript.text.done"
    assert "".join(event.delta for event in deltas if event.type == "transcript.text.delta") == done.text == whole
    assert len(deltas) > 5


def test_subtitles_come_from_segments(sdk: openai.OpenAI) -> None:
    subtitles = sdk.audio.transcriptions.create(model=MODELS[0], file=CLIPS[0], response_format="srt", **GREEDY)
    assert str(subtitles).startswith("1\n00:00:0")


def test_list_of_models_tells_what_they_can_do_and_the_rest_is_refused(sdk: openai.OpenAI) -> None:
    options = sdk.models.retrieve(MODELS[0]).to_dict()["options"]
    assert isinstance(options, list)
    assert {"prompt", "max_new_tokens", "partial_text"} <= set(options)
    assert "word_timestamps" not in options
    with pytest.raises(openai.BadRequestError, match="does not support the option word_timestamps"):
        sdk.audio.transcriptions.create(
            model=MODELS[0], file=CLIPS[0], response_format="verbose_json", timestamp_granularities=["word"]
        )


def test_direct_client_gets_pieces_and_the_transcript(direct: triton.InferenceServerClient) -> None:
    audio = samples_of(CLIPS[1])[np.newaxis]
    *pieces, last = Stream(direct, MODELS[1], {"audio": audio}, partial_text=True, temperature="0", max_new_tokens=9)
    transcript = Transcript.from_columns(last)
    assert "".join(piece["text_delta"].item().decode() for piece in pieces) == transcript.segments[0].text
    assert len(transcript.segments[0].tokens) <= 9


@pytest.mark.parametrize(
    ("audio", "parameters", "message"),
    [
        (np.full(1600, np.nan), {}, "audio: .*NaN"),
        (np.zeros(61 * 16_000), {}, "audio: 61.0 s is too long; a window is at most 60 s"),
        (np.zeros(1600), {"word_timestamps": True}, "word_timestamps: not supported by this model"),
        (np.zeros(1600), {"repetition_penalty": 9.0}, "repetition_penalty: 9 is out of range"),
    ],
    ids=["NaN", "too long", "unsupported", "out of range"],
)
def test_wrong_request_is_refused_by_its_field(
    direct: triton.InferenceServerClient, audio: np.ndarray, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InferenceServerException, match=message):
        list(Stream(direct, MODELS[0], {"audio": audio.astype(np.float32)[np.newaxis]}, **parameters))


def test_ten_milliseconds_have_no_text(direct: triton.InferenceServerClient) -> None:
    (only,) = Stream(direct, MODELS[0], {"audio": np.full((1, 160), 0.1, np.float32)})
    assert Transcript.from_columns(only).segments == ()


def test_long_recording_goes_through_the_model_window_by_window(direct: triton.InferenceServerClient) -> None:
    pause = np.zeros(30 * 16_000, np.float32)  # a recording of less than that is one window
    audio = np.concatenate([samples_of(CLIPS[0]), pause, samples_of(CLIPS[1])])
    windows = list(Stream(direct, "transcription-long", {"audio": audio}, model=MODELS[0], temperature="0"))
    assert len(windows) == 2
    assert all(Transcript.from_columns(each).segments for each in windows)


def test_client_that_leaves_frees_its_slot(omni: Server, direct: triton.InferenceServerClient) -> None:
    cancelled = f'tritone_errors_total{{model="{MODELS[0]}",reason="cancelled"}}'
    before = omni.metrics()[cancelled]
    audio = samples_of(CLIPS[0])[np.newaxis]
    deadline = time.monotonic() + DEADLINE
    while omni.metrics()[cancelled] == before:  # random weights may draw the end before the cancellation
        assert time.monotonic() < deadline, "the model was not told of the cancellation"
        stream = Stream(direct, MODELS[0], {"audio": audio}, partial_text=True, max_new_tokens=2000, temperature=1.0)
        next(iter(stream))
        stream.cancel()
    (only,) = Stream(direct, MODELS[0], {"audio": audio}, max_new_tokens=2)
    assert Transcript.from_columns(only).segments
