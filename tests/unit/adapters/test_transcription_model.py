"""The loop that every transcription model shares, with the backend's stand-in and a scripted transcriber."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import triton_python_backend_utils as pb_utils

from adapters.triton.transcription import TranscriptionModel
from adapters.triton.window import Window
from tritone.errors import InvalidInput
from tritone.transcript import Segment, Transcript

PATIENCE = 20
SECOND = np.full((1, 16_000), 0.1, np.float32)


class Scripted:
    """Hears the prompt; `breaks` says which windows break the batch that they are in. A batch in the background waits
    for `gate`, and where `together` is set, each for another one.
    """

    streams = 1

    def __init__(self, breaks: Callable[[Window], bool]) -> None:
        self.breaks = breaks
        self.batches: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()
        self.together: threading.Barrier | None = None

    def check(self, options):
        if options.language == "tlh":
            raise InvalidInput("language", "'tlh' is unknown")

    def transcribe(self, windows: Sequence[Window]) -> list[Transcript]:
        self.batches.append([window.options.prompt for window in windows])
        if self.together:
            self.together.wait(PATIENCE)
        if windows[0].options.background:
            self.begun.set()
            assert self.gate.wait(PATIENCE)
        if any(self.breaks(window) for window in windows):
            raise RuntimeError("out of memory")
        return [
            Transcript("en", 0.9, (Segment(0.0, 1.0, window.options.prompt, (1, 2), 0.0, -0.1, 1.0, 0.0),))
            for window in windows
        ]


class Model(TranscriptionModel):
    def __init__(self) -> None:
        self.scripted = Scripted(lambda window: False)

    def load(self, instance):
        return self.scripted

    def answers(self, *requests):
        """The one response of each, which its final flag came with."""
        assert self.execute(requests) is None
        assert all(request.sender.ended.wait(PATIENCE) for request in requests)
        return [answer for request in requests for [answer] in [request.sender.sent]]


def initialized(model: Model) -> Model:
    pb_utils.Logger.lines.clear()
    model.initialize(
        {
            "model_name": "whisper-base",
            "model_config": "{}",
            "model_instance_kind": "CPU",
            "model_instance_device_id": "0",
        }
    )
    return model


@pytest.fixture
def model() -> Iterator[Model]:
    model = initialized(Model())
    yield model
    model.scripted.gate.set()
    model.finalize()
    assert not pb_utils.Metric.alive


def a_request(prompt="", *, audio=SECOND, **parameters):
    text = json.dumps({"prompt": prompt, **parameters})
    return pb_utils.InferenceRequest({"audio": audio}, text, request_id=f"id-{prompt}")


def heard(response) -> str:
    assert not response.has_error(), response.error().message()
    columns = {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}
    assert all(column.shape[0] == 1 for column in columns.values())
    return Transcript.from_columns(columns).segments[0].text


def test_the_windows_of_different_callers_are_transcribed_as_one_batch_and_answered_in_order(model):
    responses = model.answers(a_request("a"), a_request("b"), a_request("c"))
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
    first, middle, last = model.answers(a_request("a"), wrong, a_request("c"))
    assert (heard(first), heard(last)) == ("a", "c")
    assert middle.error().code() == pb_utils.TritonError.INVALID_ARG
    assert middle.error().message().startswith(message)
    assert model.scripted.batches == [["a", "c"]]


def test_a_request_without_parameters_takes_the_defaults(model):
    [response] = model.answers(pb_utils.InferenceRequest({"audio": SECOND}))
    assert heard(response) == ""


def test_a_cancelled_request_costs_no_work(model):
    gone = a_request("gone")
    gone.cancelled = True
    [response] = model.answers(gone)
    assert response.error().code() == pb_utils.TritonError.CANCELLED
    assert model.scripted.batches == []


def test_a_batch_that_fails_is_tried_window_by_window_and_the_bad_one_fails_alone(model):
    model.scripted.breaks = lambda window: window.options.prompt == "bad"
    first, middle, last = model.answers(a_request("a"), a_request("bad"), a_request("c"))
    assert (heard(first), heard(last)) == ("a", "c")
    assert middle.error().code() == pb_utils.TritonError.INTERNAL
    assert "out of memory" not in middle.error().message()
    assert any("id-bad" in line and "out of memory" in line for _, line in pb_utils.Logger.lines)


def test_seconds_heard_and_errors_are_counted(model):
    model.answers(a_request("a"), a_request("b", audio=np.zeros((1, 8_000), np.float32)), a_request(colour="red"))
    assert sum(model._metrics._audio.values) == pytest.approx(1.5)
    assert model._metrics._errors["invalid"].values == [1]


def test_a_window_that_may_wait_holds_up_nobody(model):
    model.scripted.gate.clear()
    rest = a_request("rest", background=True)
    model.execute([rest])
    assert model.scripted.begun.wait(PATIENCE)
    assert heard(*model.answers(a_request("short"))) == "short"
    assert not rest.sender.sent
    model.scripted.gate.set()
    assert rest.sender.ended.wait(PATIENCE)
    assert heard(*rest.sender.sent) == "rest"


def test_windows_of_different_callers_that_wait_become_a_batch(model):
    model.scripted.gate.clear()
    rest = [a_request(name, background=True) for name in "abcd"]
    model.execute(rest[:1])
    assert model.scripted.begun.wait(PATIENCE)
    for request in rest[1:]:
        model.execute([request])
    model.scripted.gate.set()
    assert all(request.sender.ended.wait(PATIENCE) for request in rest)
    assert model.scripted.batches == [["a"], ["b", "c", "d"]]


def test_a_window_whose_caller_left_while_it_waited_costs_no_work(model):
    model.scripted.gate.clear()
    first, gone = a_request("first", background=True), a_request("gone", background=True)
    model.execute([first])
    assert model.scripted.begun.wait(PATIENCE)
    model.execute([gone])
    gone.cancelled = True
    model.scripted.gate.set()
    assert gone.sender.ended.wait(PATIENCE)
    assert gone.sender.sent[0].error().code() == pb_utils.TritonError.CANCELLED
    assert model.scripted.batches == [["first"]]


def test_what_waits_is_answered_before_the_model_is_unloaded():
    model = initialized(Model())
    model.scripted.gate.clear()
    rest = [a_request(name, background=True) for name in "ab"]
    for request in rest:
        model.execute([request])
    model.scripted.gate.set()
    model.finalize()
    assert [heard(*request.sender.sent) for request in rest] == ["a", "b"]


def test_a_batch_is_heard_in_parts_side_by_side_where_the_device_gains_from_it():
    model = Model()
    model.scripted.streams = 2
    model.scripted.together = threading.Barrier(2)
    initialized(model)
    responses = model.answers(*map(a_request, "abcde"))
    model.finalize()
    assert [heard(response) for response in responses] == list("abcde")
    assert sorted(model.scripted.batches) == [["a", "c", "e"], ["b", "d"]]


def test_an_answer_that_cannot_be_sent_is_logged_and_its_neighbours_are_answered(model):
    closed = a_request("closed")
    closed.sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
    other = a_request("other")
    model.execute([closed, other])
    assert heard(*other.sender.sent) == "other"
    assert any("id-closed" in line and "could not be sent" in line for _, line in pb_utils.Logger.lines)
