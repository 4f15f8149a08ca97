"""The loop that every transcription model shares, with the backend's stand-in and a scripted transcriber."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from adapters.triton import background_batcher, transcription_model
from adapters.triton.lost_gpu import GpuLost
from adapters.triton.transcriber import WindowRequest
from adapters.triton.transcription_model import TranscriptionModel
from tests.unit.adapters.stand_in import pb_utils
from tritone.contract import TranscriptionDescription
from tritone.errors import InvalidInput
from tritone.transcript import Segment, Transcript

PATIENCE = 300
SECOND = np.full((1, 16_000), 0.1, np.float32)
DESCRIPTION = TranscriptionDescription(
    languages=("en",), tasks=("transcribe",), options=("language", "prompt", "temperature")
)


class ScriptedTranscriber:
    """Return the prompt as the transcript.

    A batch fails if it holds a window that `breaks`. A background batch waits for `gate`. With `together`, a batch
    waits for another one.
    """

    description = DESCRIPTION
    parallel_calls = 1

    def __init__(self, breaks: Callable[[WindowRequest], bool]) -> None:
        self.breaks = breaks
        self.batches: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()
        self.together: threading.Barrier | None = None

    def check(self, options):
        if options.language == "tlh":
            raise InvalidInput("language", "'tlh' is unknown")

    def transcribe(self, windows: Sequence[WindowRequest]) -> list[Transcript]:
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


class ScriptedModel(TranscriptionModel):
    def __init__(self) -> None:
        self.scripted = ScriptedTranscriber(lambda window: False)

    def load(self, instance):
        return self.scripted

    def responses(self, *requests):
        """Return the one response of each request, which had the final flag."""
        assert self.execute(requests) is None  # type: ignore[func-returns-value]  # as Triton requires
        assert all(request.sender.ended.wait(PATIENCE) for request in requests)
        return [response for request in requests for [response] in [request.sender.sent]]


def initialized(model: ScriptedModel) -> ScriptedModel:
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
def model() -> Iterator[ScriptedModel]:
    model = initialized(ScriptedModel())
    yield model
    model.scripted.gate.set()
    model.finalize()
    assert not pb_utils.Metric.alive


def request_of(prompt="", *, audio=SECOND, timeout=0, **parameters):
    text = json.dumps({"prompt": prompt, **parameters})
    return pb_utils.InferenceRequest({"audio": audio}, text, request_id=f"id-{prompt}", timeout=timeout)


def text_of(response) -> str:
    assert not response.has_error(), response.error().message()
    columns = {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}
    assert all(column.shape[0] == 1 for column in columns.values())
    return Transcript.from_columns(columns).segments[0].text


def test_windows_of_different_clients_form_one_batch_with_responses_in_order(model):
    responses = model.responses(request_of("a"), request_of("b"), request_of("c"))
    assert [text_of(response) for response in responses] == ["a", "b", "c"]
    assert model.scripted.batches == [["a", "b", "c"]]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (request_of(audio=np.zeros((1, 0), np.float32)), "audio: "),
        (request_of(audio=np.full((1, 16_000), np.nan, np.float32)), "audio: "),
        (request_of(audio=np.zeros((2, 16_000), np.float32)), "audio: 2 rows"),
        (request_of(colour="red"), "colour: unknown parameter"),
        (request_of(temperature=7.0), "temperature: "),
        (request_of(language="tlh"), "language: "),
        (request_of(condition_on_previous_text=True), "condition_on_previous_text: unknown parameter"),
        (request_of(word_timestamps=True), "word_timestamps: not supported by this model"),
    ],
)
def test_invalid_request_gets_its_own_error_and_the_others_get_their_transcripts(model, wrong, message):
    first, middle, last = model.responses(request_of("a"), wrong, request_of("c"))
    assert (text_of(first), text_of(last)) == ("a", "c")
    assert middle.error().code() == pb_utils.TritonError.INVALID_ARG
    assert middle.error().message().startswith(message)
    assert model.scripted.batches == [["a", "c"]]


def test_describe_returns_the_description_alone(model):
    [response] = model.responses(request_of(describe=True))
    columns = {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}
    assert list(columns) == ["description"]
    assert columns["description"].shape == (1, 1)
    assert TranscriptionDescription.from_json(columns["description"][0, 0]) == DESCRIPTION
    assert model.scripted.batches == []


def test_unsupported_option_is_rejected_with_the_models_that_support_it(model):
    [response] = model.responses(request_of(hotwords="Tritone"))
    assert "whisper-base" in response.error().message()


@pytest.mark.parametrize(
    ("language", "accepted"),
    [("auto", True), ("Auto", True), ("", True), ("en", True), ("eng", True), ("fr", False), ("en,fr", False)],
)
def test_model_without_the_option_language_accepts_only_its_one_language(model, language, accepted):
    model.scripted.description = TranscriptionDescription(("en",), ("transcribe",), ())
    model.finalize()
    initialized(model)
    [response] = model.responses(request_of(language=language))
    assert response.has_error() != accepted


def test_request_without_parameters_gets_the_defaults(model):
    [response] = model.responses(pb_utils.InferenceRequest({"audio": SECOND}))
    assert text_of(response) == ""


def test_cancelled_request_is_not_transcribed(model):
    cancelled = request_of("cancelled")
    cancelled.cancelled = True
    [response] = model.responses(cancelled)
    assert response.error().code() == pb_utils.TritonError.CANCELLED
    assert model.scripted.batches == []


def test_batch_that_fails_is_retried_window_by_window(model):
    model.scripted.breaks = lambda window: window.options.prompt == "bad"
    first, middle, last = model.responses(request_of("a"), request_of("bad"), request_of("c"))
    assert (text_of(first), text_of(last)) == ("a", "c")
    assert middle.error().code() == pb_utils.TritonError.INTERNAL
    assert "out of memory" not in middle.error().message()
    assert any("id-bad" in line and "out of memory" in line for _, line in pb_utils.Logger.lines)


def test_lost_gpu_ends_the_process_after_the_responses_to_its_batch(model, monkeypatch):
    def lose(window):
        raise GpuLost from RuntimeError("CUDA failed with error an illegal memory access was encountered")

    requests = request_of("a"), request_of("b")
    responses: list[Any] = []
    monkeypatch.setattr(
        transcription_model,
        "exit_without_gpu",
        lambda: responses.extend(request.sender.sent[0].error() for request in requests),
    )
    model.scripted.breaks = lose
    model.execute(requests)
    assert [error.code() for error in responses] == 2 * [pb_utils.TritonError.UNAVAILABLE]
    assert responses[0].message() == "overloaded: the GPU has failed; the model is being reloaded"
    assert model.scripted.batches == [["a", "b"]]
    assert any("a batch of 2 failed" in line and "illegal memory" in line for _, line in pb_utils.Logger.lines)


def test_metrics_count_audio_seconds_and_errors(model):
    model.responses(request_of("a"), request_of("b", audio=np.zeros((1, 8_000), np.float32)), request_of(colour="red"))
    assert sum(pb_utils.Metric.values_of("tritone_audio_seconds_total")) == pytest.approx(1.5)
    assert pb_utils.Metric.values_of("tritone_errors_total", reason="invalid") == [1]
    assert sum(pb_utils.Metric.values_of("tritone_requests_total")) == 2
    assert sum(pb_utils.Metric.values_of("tritone_open_requests")) == 0
    assert sum(pb_utils.Metric.values_of("tritone_waiting_requests")) == 0
    assert len(pb_utils.Metric.values_of("tritone_queue_seconds")) == 2
    assert len(pb_utils.Metric.values_of("tritone_real_time_factor")) == 2
    assert sum(pb_utils.Metric.values_of("tritone_batch_items_total")) == 2


def test_background_window_does_not_delay_other_windows(model):
    model.scripted.gate.clear()
    rest = request_of("rest", background=True)
    model.execute([rest])
    assert model.scripted.begun.wait(PATIENCE)
    assert text_of(*model.responses(request_of("short"))) == "short"
    assert not rest.sender.sent
    model.scripted.gate.set()
    assert rest.sender.ended.wait(PATIENCE)
    assert text_of(*rest.sender.sent) == "rest"


def test_background_windows_of_different_clients_form_a_batch(model):
    model.scripted.gate.clear()
    rest = [request_of(name, background=True) for name in "abcd"]
    model.execute(rest[:1])
    assert model.scripted.begun.wait(PATIENCE)
    for request in rest[1:]:
        model.execute([request])
    model.scripted.gate.set()
    assert all(request.sender.ended.wait(PATIENCE) for request in rest)
    assert model.scripted.batches == [["a"], ["b", "c", "d"]]


def test_background_window_that_is_cancelled_while_it_waits_is_not_transcribed(model):
    model.scripted.gate.clear()
    first, cancelled = request_of("first", background=True), request_of("cancelled", background=True)
    model.execute([first])
    assert model.scripted.begun.wait(PATIENCE)
    model.execute([cancelled])
    cancelled.cancelled = True
    model.scripted.gate.set()
    assert cancelled.sender.ended.wait(PATIENCE)
    assert cancelled.sender.sent[0].error().code() == pb_utils.TritonError.CANCELLED
    assert model.scripted.batches == [["first"]]


def test_window_whose_timeout_passes_while_it_waits_is_not_transcribed(model):
    model.scripted.gate.clear()
    first, late = request_of("first", background=True), request_of("late", background=True, timeout=1)
    patient = request_of("patient", background=True, timeout=10**9)
    model.execute([first])
    assert model.scripted.begun.wait(PATIENCE)
    model.execute([late, patient])
    model.scripted.gate.set()
    assert late.sender.ended.wait(PATIENCE)
    assert late.sender.sent[0].error().message() == "overloaded: timed out waiting for a slot"
    assert patient.sender.ended.wait(PATIENCE)
    assert model.scripted.batches == [["first"], ["patient"]]
    assert sum(pb_utils.Metric.values_of("tritone_waiting_requests")) == 0


def test_background_window_beyond_the_limit_is_rejected_and_no_other_waits_for_it(model, monkeypatch):
    monkeypatch.setattr(background_batcher, "MAX_WAITING", 1)
    model.finalize()
    initialized(model)
    model.scripted.gate.clear()
    first, waiting, rejected = (request_of(name, background=True) for name in "abc")
    model.execute([first])
    assert model.scripted.begun.wait(PATIENCE)
    model.execute([waiting, rejected])
    assert rejected.sender.sent[0].error().code() == pb_utils.TritonError.UNAVAILABLE
    model.scripted.gate.set()
    assert [each.sender.ended.wait(PATIENCE) for each in (first, waiting)] == [True, True]
    assert sum(pb_utils.Metric.values_of("tritone_open_requests")) == 0


def test_background_windows_get_their_transcripts_before_the_model_is_unloaded():
    model = initialized(ScriptedModel())
    model.scripted.gate.clear()
    rest = [request_of(name, background=True) for name in "ab"]
    for request in rest:
        model.execute([request])
    model.scripted.gate.set()
    model.finalize()
    assert [text_of(*request.sender.sent) for request in rest] == ["a", "b"]


def test_batch_is_split_into_parts_where_parallel_calls_are_faster():
    model = ScriptedModel()
    model.scripted.parallel_calls = 2
    model.scripted.together = threading.Barrier(2)
    initialized(model)
    responses = model.responses(*map(request_of, "abcde"))
    model.finalize()
    assert [text_of(response) for response in responses] == list("abcde")
    assert sorted(model.scripted.batches) == [["a", "c", "e"], ["b", "d"]]


def test_response_that_cannot_be_sent_is_logged_and_the_others_are_sent(model):
    closed = request_of("closed")
    closed.sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
    other = request_of("other")
    model.execute([closed, other])
    assert text_of(*other.sender.sent) == "other"
    assert any("id-closed" in line and "could not be sent" in line for _, line in pb_utils.Logger.lines)
