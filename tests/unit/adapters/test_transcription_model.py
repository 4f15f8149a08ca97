"""The loop that every transcription model shares, with the backend's stand-in and a scripted transcriber."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import triton_python_backend_utils as pb_utils

from adapters.triton.transcription import TranscriptionModel
from adapters.triton.window import Window
from tritone.errors import InvalidInput
from tritone.transcript import Segment, Transcript

SECOND = np.full((1, 16_000), 0.1, np.float32)


class Scripted:
    """Hears the prompt; `breaks` says which windows break the batch that they are in."""

    def __init__(self, breaks: Callable[[Window], bool]) -> None:
        self.breaks = breaks
        self.batches: list[list[str]] = []

    def check(self, options):
        if options.language == "tlh":
            raise InvalidInput("language", "'tlh' is unknown")

    def transcribe(self, windows: Sequence[Window]) -> list[Transcript]:
        self.batches.append([window.options.prompt for window in windows])
        if any(self.breaks(window) for window in windows):
            raise RuntimeError("out of memory")
        return [
            Transcript("en", 0.9, (Segment(0.0, 1.0, window.options.prompt, (1, 2), 0.0, -0.1, 1.0, 0.0),))
            for window in windows
        ]


class Model(TranscriptionModel):
    breaks = staticmethod(lambda window: False)

    def load(self, instance):
        self.scripted = Scripted(self.breaks)
        return self.scripted


@pytest.fixture
def model():
    pb_utils.Logger.lines.clear()
    model = Model()
    model.initialize(
        {
            "model_name": "whisper-base",
            "model_config": "{}",
            "model_instance_kind": "CPU",
            "model_instance_device_id": "0",
        }
    )
    return model


def a_request(prompt="", *, audio=SECOND, **parameters):
    text = json.dumps({"prompt": prompt, **parameters})
    return pb_utils.InferenceRequest({"audio": audio}, text, request_id=f"id-{prompt}")


def heard(response) -> str:
    assert not response.has_error(), response.error().message()
    columns = {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}
    assert all(column.shape[0] == 1 for column in columns.values())
    return Transcript.from_columns(columns).segments[0].text


def test_the_windows_of_different_callers_are_transcribed_as_one_batch_and_answered_in_order(model):
    responses = model.execute([a_request("a"), a_request("b"), a_request("c")])
    assert [heard(response) for response in responses] == ["a", "b", "c"]
    assert model.scripted.batches == [["a", "b", "c"]]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (a_request(audio=np.zeros((1, 0), np.float32)), "audio: "),
        (a_request(audio=np.full((1, 16_000), np.nan, np.float32)), "audio: "),
        (a_request(audio=np.zeros((2, 16_000), np.float32)), "audio: 2 rows"),
        (a_request(colour="red"), "colour: unknown parameter"),
        (a_request(temperature=7.0), "temperature: "),
        (a_request(language="tlh"), "language: "),
        (a_request(condition_on_previous_text=True), "condition_on_previous_text: "),
    ],
)
def test_a_wrong_request_gets_its_own_error_and_its_neighbours_their_transcripts(model, wrong, message):
    first, middle, last = model.execute([a_request("a"), wrong, a_request("c")])
    assert (heard(first), heard(last)) == ("a", "c")
    assert middle.error().code() == pb_utils.TritonError.INVALID_ARG
    assert middle.error().message().startswith(message)
    assert model.scripted.batches == [["a", "c"]]


def test_a_request_without_parameters_takes_the_defaults(model):
    [response] = model.execute([pb_utils.InferenceRequest({"audio": SECOND})])
    assert heard(response) == ""


def test_a_cancelled_request_costs_no_work(model):
    gone = a_request("gone")
    gone.cancelled = True
    [response] = model.execute([gone])
    assert response.error().code() == pb_utils.TritonError.CANCELLED
    assert model.scripted.batches == []


def test_a_batch_that_fails_is_tried_window_by_window_and_the_bad_one_fails_alone(model):
    model.scripted.breaks = lambda window: window.options.prompt == "bad"
    first, middle, last = model.execute([a_request("a"), a_request("bad"), a_request("c")])
    assert (heard(first), heard(last)) == ("a", "c")
    assert middle.error().code() == pb_utils.TritonError.INTERNAL
    assert "out of memory" not in middle.error().message()
    assert any("id-bad" in line and "out of memory" in line for _, line in pb_utils.Logger.lines)


def test_seconds_heard_and_errors_are_counted(model):
    model.execute([a_request("a"), a_request("b", audio=np.zeros((1, 8_000), np.float32)), a_request(colour="red")])
    assert sum(model._metrics._audio.values) == pytest.approx(1.5)
    assert model._metrics._errors["invalid"].values == [1]
