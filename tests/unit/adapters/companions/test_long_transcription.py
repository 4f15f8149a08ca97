"""Recordings of any length, with the backend's stand-in and a scripted transcription model."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from adapters.companions.long_transcription import MAX_RECORDINGS, TritonPythonModel
from adapters.companions.recording import Recording
from tests.unit.adapters.stand_in import pb_utils
from tritone.contract import LISTEN_RATE, TranscriptionOptions
from tritone.errors import InvalidInput, Overloaded
from tritone.served import ServedDocument, ServedModel
from tritone.transcript import Segment, Transcript
from tritone.wanted import last_wanted
from tritone.windowing import Samples

PATIENCE = 300
TONE = np.full(20 * LISTEN_RATE, 0.5, np.float32)
PAUSE = np.zeros(8 * LISTEN_RATE, np.float32)
RECORDING = np.concatenate([TONE, PAUSE] * 4)
"""Four windows of about 20 s."""
ARGS = {
    "model_name": "transcription-long",
    "model_config": "{}",
    "model_instance_kind": "CPU",
    "model_instance_device_id": "0",
}


class ScriptedWhisper:
    """Return the number of the call as the transcript; wait for `gate`, and raise `fault`."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.fault: Exception | None = None
        self.options: list[TranscriptionOptions] = []
        self.timeouts: list[float] = []
        self.called = threading.Event()
        self.ready = True

    def __call__(
        self, model: str, samples: Samples, options: TranscriptionOptions, request_id: str, timeout: float
    ) -> Transcript:
        assert model == "whisper-base"
        self.options.append(options)
        self.timeouts.append(timeout)
        number = len(self.options)
        self.called.set()
        self.gate.wait(PATIENCE)
        if self.fault:
            raise self.fault
        return Transcript("fr", 0.8, (Segment(0.5, 2.0, f" {number}", (1,), 0.0, -0.1, 1.0, 0.0),))


def detect(frames: Samples) -> Samples:
    return (abs(frames).max(axis=1) > 0.1).astype(np.float32)


def model_with(whisper: ScriptedWhisper, args: dict[str, str] = ARGS) -> TritonPythonModel:
    model = TritonPythonModel(whisper, lambda name: whisper.ready, lambda model_dir: lambda: detect)
    model.initialize(args)
    return model


@pytest.fixture
def whisper() -> ScriptedWhisper:
    return ScriptedWhisper()


@pytest.fixture
def model(whisper: ScriptedWhisper) -> Iterator[TritonPythonModel]:
    model = model_with(whisper)
    yield model
    whisper.gate.set()
    model.finalize()
    assert not pb_utils.Metric.alive


def send(model: TritonPythonModel, /, audio: Samples = RECORDING, *, timeout: int = 0, **parameters: Any) -> Any:
    """Return the sender of a request that has begun; `timeout` in microseconds."""
    request = pb_utils.InferenceRequest(
        {"audio": audio}, json.dumps({"model": "whisper-base", **parameters}), request_id="id", timeout=timeout
    )
    model.execute([request])
    return request.sender


def columns_of(sender: Any) -> list[dict[str, Any]]:
    """Return the columns of every response, after the end."""
    assert sender.ended.wait(PATIENCE)
    return [{tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()} for response in sender.sent]


def error_of(sender: Any) -> Any:
    assert sender.ended.wait(PATIENCE)
    return sender.sent[-1].error()


def test_each_window_has_a_response_in_the_recordings_time_and_language(model, whisper):
    responses = columns_of(send(model, word_timestamps=True, temperature=0.5))
    starts = [float(response["window_start"][0]) for response in responses]
    assert starts == pytest.approx([0, 28, 56, 84], abs=0.5)
    assert [float(response["segment_start"][0]) for response in responses] == pytest.approx([s + 0.5 for s in starts])
    assert all(response["language"].tolist() == [b"fr"] for response in responses)
    assert all(response["language_probability"][0] == np.float32(0.8) for response in responses)
    assert [options.language for options in whisper.options] == ["auto", "fr", "fr", "fr"]
    assert [options.background for options in whisper.options] == [False, True, True, True]
    assert all(options.word_timestamps and options.temperature == 0.5 for options in whisper.options)


@pytest.mark.parametrize(
    ("audio", "parameters", "clips"),
    [
        (RECORDING, {"clip": True}, [False] * 4),
        (RECORDING[: 5 * LISTEN_RATE], {"clip": True}, [True]),
        (RECORDING[: 5 * LISTEN_RATE], {}, [False]),
    ],
    ids=["long", "short", "not asked for"],
)
def test_only_a_recording_of_one_window_is_a_clip(model, whisper, audio, parameters, clips):
    columns_of(send(model, audio, **parameters))
    assert [options.clip for options in whisper.options] == clips


def test_window_gets_the_text_before_it_as_prompt_only_with_the_option(model, whisper):
    columns_of(send(model, prompt="So:", condition_on_previous_text=True))
    assert [options.prompt for options in whisper.options] == ["So:", "So: 1", "So: 1 2", "So: 1 2 3"]
    whisper.options.clear()
    columns_of(send(model, prompt="So:"))
    assert {options.prompt for options in whisper.options} == {"So:"}


@pytest.mark.parametrize(
    ("audio", "parameters", "message"),
    [
        (np.zeros(0, np.float32), {}, "audio: it is empty"),
        (np.full(100, np.inf, np.float32), {}, "audio: it holds NaN"),
        (np.broadcast_to(np.float32(0), 5 * 3600 * LISTEN_RATE), {}, "audio: 18000 s is too long"),
        (RECORDING, {"colour": "red"}, "colour: unknown"),
        (RECORDING, {"model": ""}, "model: is required"),
        (RECORDING, {"describe": True}, "describe: not supported"),
    ],
)
def test_invalid_request_is_rejected_before_any_work(model, whisper, audio, parameters, message):
    error = error_of(send(model, audio, **parameters))
    assert error.code() == pb_utils.TritonError.INVALID_ARG
    assert error.message().startswith(message)
    assert whisper.options == []


def test_error_of_the_transcription_model_is_passed_on(model, whisper):
    whisper.fault = InvalidInput("language", "'tlh' is unknown")
    error = error_of(send(model))
    assert (error.code(), error.message()) == (pb_utils.TritonError.INVALID_ARG, "language: 'tlh' is unknown")


def test_recording_that_fails_leaves_the_others_alone(model, whisper):
    whisper.gate.clear()
    failing = send(model)
    assert whisper.called.wait(PATIENCE)
    whisper.fault = RuntimeError("out of memory")
    whisper.gate.set()
    assert error_of(failing).code() == pb_utils.TritonError.INTERNAL
    whisper.fault = None
    assert len(columns_of(send(model))) == 4


def test_no_window_is_transcribed_after_cancellation(model, whisper):
    whisper.gate.clear()
    sender = send(model)
    assert whisper.called.wait(PATIENCE)
    sender.cancelled = True
    whisper.gate.set()
    assert error_of(sender).code() == pb_utils.TritonError.CANCELLED
    assert len(whisper.options) == 1


def test_recording_beyond_the_capacity_is_rejected(model, whisper):
    whisper.gate.clear()
    open_ones = [send(model) for _ in range(MAX_RECORDINGS)]
    assert error_of(send(model)).message() == f"overloaded: at capacity ({MAX_RECORDINGS} recordings); try again"
    whisper.gate.set()
    for sender in open_ones:
        assert len(columns_of(sender)) == 4


def test_recording_is_rejected_while_the_transcription_model_is_not_loaded(model, whisper):
    whisper.ready = False
    assert error_of(send(model)).message() == "overloaded: whisper-base is not loaded; try again"


def test_recording_without_the_option_model_goes_to_the_only_loaded_model(whisper, tmp_path):
    served = ServedModel("whisper-base", "transcription", "transcribe", "openai", "ready")
    (tmp_path / "served.json").write_text(ServedDocument("serving", (served,)).to_json())
    config = {"parameters": {"document": {"string_value": str(tmp_path / "served.json")}}}
    model = model_with(whisper, {**ARGS, "model_config": json.dumps(config)})
    assert len(columns_of(send(model, model=""))) == 4
    model.finalize()


def test_recording_waits_for_an_idle_model_to_be_loaded(whisper, tmp_path):
    path = tmp_path / "served.json"
    served = ServedModel("whisper-base", "transcription", "transcribe", "openai", "idle")
    path.write_text(ServedDocument("serving", (served,), 1).to_json())
    whisper.ready = False
    config = json.dumps({"parameters": {"document": {"string_value": str(path)}}})
    model = model_with(whisper, {**ARGS, "model_config": config})
    sender = send(model)
    deadline = time.monotonic() + PATIENCE
    while not last_wanted(path, "whisper-base"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not whisper.options
    assert pb_utils.Metric.values_of("tritone_open_requests") == [1]
    whisper.ready = True
    path.write_text(ServedDocument("serving", (replace(served, state="ready"),), 2).to_json())
    assert len(columns_of(sender)) == 4
    model.finalize()


def test_client_that_leaves_while_an_idle_model_is_loaded_frees_its_place(whisper, tmp_path):
    document = tmp_path / "document.json"
    served = ServedModel("whisper-base", "transcription", "transcribe", "openai", "idle")
    document.write_text(ServedDocument("serving", (served,)).to_json())
    config = json.dumps({"parameters": {"document": {"string_value": str(document)}}})
    model = model_with(whisper, {**ARGS, "model_config": config})
    left, late = send(model), send(model, timeout=1)
    left.cancelled = True
    assert error_of(left).code() == pb_utils.TritonError.CANCELLED
    assert error_of(late).message() == "deadline: the request timed out after 0 s of the recording"
    assert not whisper.options
    model.finalize()


def test_recording_whose_timeout_passes_ends_with_what_was_transcribed(model, whisper):
    whisper.gate.clear()
    sender = send(model, timeout=1_000)
    assert error_of(sender).message().startswith("deadline: the request timed out after 0 s")
    whisper.gate.set()
    assert len(columns_of(send(model, timeout=10**9))) == 4


def test_window_gets_the_time_that_is_left_of_the_recordings_timeout(model, whisper):
    columns_of(send(model, timeout=1000 * 10**6, condition_on_previous_text=True))
    assert 1000 > whisper.timeouts[0] > 1000 - PATIENCE
    assert whisper.timeouts == sorted(set(whisper.timeouts), reverse=True)
    whisper.timeouts.clear()
    columns_of(send(model))
    assert set(whisper.timeouts) == {math.inf}


def test_window_that_the_time_ends_is_not_taken_for_a_busy_model(model, whisper, monkeypatch):
    whisper.fault = Overloaded("timed out waiting for a slot")
    whisper.gate.clear()
    sender = send(model, timeout=1000 * 10**6)
    assert whisper.called.wait(PATIENCE)
    monkeypatch.setattr(Recording, "seconds_left", lambda self: 0.0)
    whisper.gate.set()
    assert error_of(sender).message() == "deadline: the request timed out after 0 s of the recording"


def test_open_recording_ends_with_an_error_when_the_model_is_unloaded(whisper):
    model = model_with(whisper)
    whisper.gate.clear()
    sender = send(model)
    assert whisper.called.wait(PATIENCE)
    opening = threading.Thread(target=lambda: sender.ended.wait(PATIENCE) and whisper.gate.set())
    opening.start()
    model.finalize()
    opening.join()
    assert error_of(sender).code() == pb_utils.TritonError.UNAVAILABLE
    assert sender.finals == 1
