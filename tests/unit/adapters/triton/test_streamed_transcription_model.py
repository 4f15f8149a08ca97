"""A transcription model with an engine: each request gets its pieces of text and exactly one end."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adapters.triton.instance import Instance
from adapters.triton.streamed_transcription_model import StreamedTranscriptionModel
from adapters.triton.transcriber import WindowRequest
from adapters.triton.transcript_stream import TranscriptStream
from tests.unit.adapters.stand_in import pb_utils
from tritone.contract import TranscriptionDescription, TranscriptionOptions
from tritone.errors import InvalidInput, Overloaded
from tritone.transcript import Segment, Transcript

DESCRIPTION = TranscriptionDescription(("en",), ("transcribe",), ("prompt", "partial_text"), window_seconds=60)
TRANSCRIPT = Transcript("en", 1.0, (Segment(0.0, 2.0, " One two.", (1, 2)),))
ARGUMENTS = {
    "model_name": "omni",
    "model_instance_kind": "CPU",
    "model_instance_device_id": "0",
    "model_config": json.dumps({"parameters": {}}),
}


class Engine:
    """Does what `act` says with each window."""

    description = DESCRIPTION

    def __init__(self) -> None:
        self.act: Callable[[TranscriptStream], object] = lambda stream: stream.finish(
            TRANSCRIPT, seconds=2.0, reason="stop"
        )
        self.windows: list[WindowRequest] = []
        self.timeouts: list[float] = []
        self.closed = False

    def check(self, options: TranscriptionOptions) -> None:
        if options.prompt == "?":
            raise InvalidInput("prompt", "is not wanted")

    def submit(self, window: WindowRequest, stream: TranscriptStream, *, timeout: float) -> None:
        self.windows.append(window)
        self.timeouts.append(timeout)
        self.act(stream)

    def close(self) -> None:
        self.closed = True


class Model(StreamedTranscriptionModel):
    def __init__(self) -> None:
        self.engine = Engine()

    def load(self, instance: Instance) -> Engine:
        return self.engine


@pytest.fixture
def model():
    model = Model()
    model.initialize(ARGUMENTS)
    yield model
    model.finalize()
    assert model.engine.closed


def request_of(audio: Any = None, *, timeout: int = 0, **parameters: Any) -> pb_utils.InferenceRequest:
    samples = np.full((1, 32_000), 0.1, np.float32) if audio is None else np.asarray(audio, np.float32)
    return pb_utils.InferenceRequest({"audio": samples}, json.dumps(parameters), "r1", timeout)


def outputs(sender: pb_utils.ResponseSender) -> list[dict[str, Any]]:
    return [{t.name(): t.as_numpy() for t in response.output_tensors()} for response in sender.sent]


def error_of(sender: pb_utils.ResponseSender) -> pb_utils.TritonError:
    assert sender.finals == 1
    error = sender.sent[-1].error()
    assert error
    return error


def test_text_is_sent_as_it_comes_and_the_transcript_at_the_end(model: Model) -> None:
    def act(stream: TranscriptStream) -> None:
        stream.text(" One")
        stream.text(" two.")
        stream.finish(TRANSCRIPT, seconds=2.0, reason="stop")

    model.engine.act = act
    request = request_of(partial_text=True, timeout=5_000_000)
    model.execute([request])
    first, second, last = outputs(request.sender)
    assert [each["text_delta"].tolist() for each in (first, second)] == [[[b" One"]], [[b" two."]]]
    assert Transcript.from_columns(last) == TRANSCRIPT
    assert request.sender.finals == 1
    assert model.engine.timeouts == [5.0]
    assert pb_utils.Metric.values_of("tritone_audio_seconds_total", model="omni") == [2.0]
    assert pb_utils.Metric.values_of("tritone_finished_total", model="omni", reason="stop") == [1]


def test_model_describes_itself(model: Model) -> None:
    request = request_of(describe=True)
    model.execute([request])
    (only,) = outputs(request.sender)
    assert TranscriptionDescription.from_json(only["description"][0, 0]) == DESCRIPTION
    assert not model.engine.windows


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (request_of([[]]), "audio: 0 samples are too few"),
        (request_of(np.full((1, 500), np.nan)), "audio: .*NaN"),
        (request_of(np.zeros((1, 61 * 16_000))), "audio: 61.0 s is too long; a window is at most 60 s"),
        (request_of(np.zeros((2, 500))), "audio: 2 rows in one request"),
        (request_of(word_timestamps=True), "word_timestamps: not supported by this model"),
        (request_of(prompt="?"), "prompt: is not wanted"),
        (request_of(speed=2), "speed: unknown parameter"),
    ],
)
def test_invalid_request_gets_its_error_and_no_work(
    model: Model, request_: pb_utils.InferenceRequest, message: str
) -> None:
    request_.sender = pb_utils.ResponseSender()
    model.execute([request_])
    error = error_of(request_.sender)
    assert error.code() == pb_utils.TritonError.INVALID_ARG
    assert message.partition(".*")[0] in error.message()
    assert not model.engine.windows


def test_window_of_a_minute_is_accepted_and_has_no_deadline_of_its_own(model: Model) -> None:
    model.execute([request_of(np.zeros((1, 60 * 16_000)))])
    assert [window.seconds for window in model.engine.windows] == [60.0]
    assert model.engine.timeouts == [math.inf]


def test_rejection_by_the_engine_ends_the_request(model: Model) -> None:
    def act(stream: TranscriptStream) -> None:
        raise Overloaded("at capacity", 3)

    model.engine.act = act
    request = request_of()
    model.execute([request])
    assert error_of(request.sender).message() == "overloaded: at capacity; try again in 3 s"


def test_stream_that_the_engine_forgot_is_ended_when_the_model_is_unloaded() -> None:
    model = Model()
    model.initialize(ARGUMENTS)
    model.engine.act = lambda stream: None
    request = request_of()
    model.execute([request])
    assert request.sender.finals == 0
    model.finalize()
    assert error_of(request.sender).code() == pb_utils.TritonError.INTERNAL
    assert "the engine closed" in pb_utils.Logger.lines[-1][1]
