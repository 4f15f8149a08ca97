"""The loop that every speech model shares, with the backend's stand-in and a scripted engine."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from adapters.triton.instance import Instance
from adapters.triton.metrics import EngineCounts, Metrics
from adapters.triton.response_stream import ResponseStream
from adapters.triton.samples import to_int16
from adapters.triton.speech_engine import SpeechEngine
from adapters.triton.speech_model import SpeechModel
from adapters.triton.speech_request import SpeechRequest
from tests.unit.adapters.clock import ManualClock
from tests.unit.adapters.stand_in import pb_utils
from tritone.contract import SPEECH_RATE, SpeechDescription, SpeechOptions, Voice
from tritone.errors import Cancelled, DeadlinePassed, InvalidInput, Overloaded
from tritone.voice_key import audio_digest, voice_key

ARGS = {
    "model_name": "test-voice",
    "model_instance_kind": "CPU",
    "model_instance_device_id": "0",
    "model_config": json.dumps({"parameters": {}}),
}
DESCRIPTION = SpeechDescription(
    voices=(Voice("Ann", "Ann", "en"), Voice("Bea", "Bea", "fr")),
    languages=("en", "fr"),
    default_voice="Ann",
    speed_range=(0.5, 2.0),
)


class ScriptedEngine:
    """Run `act` on each request's stream, in the thread that submits it."""

    description = DESCRIPTION

    def __init__(self) -> None:
        self.requests: list[SpeechRequest] = []
        self.act = self.synthesize
        self.closed = False

    def submit(self, request: SpeechRequest, stream: ResponseStream) -> None:
        self.requests.append(request)
        self.act(stream)

    def synthesize(self, stream: ResponseStream) -> None:
        stream.start()
        stream.audio(np.ones(SPEECH_RATE, np.int16))
        stream.audio(np.ones(SPEECH_RATE // 2, np.int16))
        stream.finish("stop", text_tokens=7, audio_frames=60)

    def close(self) -> None:
        self.closed = True


class ScriptedModel(SpeechModel):
    def load(self, instance: Instance) -> SpeechEngine:
        self.engine = ScriptedEngine()
        return self.engine


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    model = ScriptedModel()
    model.initialize(ARGS)
    yield model
    model.finalize()
    assert not pb_utils.Metric.alive


def send(
    model: ScriptedModel, text: str | bytes = "Hello.", *, timeout: int = 0, **parameters: object
) -> pb_utils.ResponseSender:
    raw = text.encode() if isinstance(text, str) else text
    request = pb_utils.InferenceRequest({"text": np.array([raw], np.object_)}, json.dumps(parameters), "r1", timeout)
    model.execute([request])
    return request.sender


def outputs(response: pb_utils.InferenceResponse) -> dict[str, np.ndarray]:
    return {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}


def last_error(sender: pb_utils.ResponseSender) -> pb_utils.TritonError:
    error = sender.sent[-1].error()
    assert error is not None
    return error


def test_audio_is_sent_piece_by_piece_and_the_last_response_has_the_counts(model: ScriptedModel) -> None:
    sender = send(model)
    first, second, last = map(outputs, sender.sent)
    assert (len(first["audio"]), len(second["audio"]), len(last["audio"])) == (24_000, 12_000, 0)
    assert first["audio"].dtype == np.int16
    assert first["sample_rate"].tolist() == [24_000]
    assert last["finish_reason"].tolist() == [b"stop"]
    assert (last["text_tokens"].tolist(), last["audio_frames"].tolist()) == ([7], [60])
    assert sender.finals == 1


@pytest.mark.parametrize(
    ("voice", "read"),
    [("ANN + bea(3)", "Ann(0.250000)+Bea(0.750000)"), ("ann", "Ann"), ("bea(2)", "Bea"), ("", "")],
)
def test_mix_is_read_with_the_ids_of_a_model_that_mixes_voices(voice: str, read: str) -> None:
    mixing = replace(DESCRIPTION, mixes_voices=True)
    assert SpeechRequest.read(b"Hi.", SpeechOptions(voice=voice), mixing, 10).voice == read


def test_mix_with_an_unknown_voice_is_rejected_with_its_name() -> None:
    mixing = replace(DESCRIPTION, mixes_voices=True)
    with pytest.raises(InvalidInput, match="voice: 'cal' is unknown; choose from: Ann, Bea"):
        SpeechRequest.read(b"Hi.", SpeechOptions(voice="ann+cal"), mixing, 10)


def test_last_response_has_the_seconds_from_arrival_to_start_first_and_last_audio(model: ScriptedModel) -> None:
    sender, clock = pb_utils.ResponseSender(), ManualClock()
    metrics = Metrics("test-voice", "speech")
    stream = ResponseStream(sender, metrics, clock=clock)
    clock.now += 1
    stream.start()
    clock.now += 2
    stream.audio(np.ones(1, np.int16))
    clock.now += 4
    stream.audio(np.ones(1, np.int16))
    clock.now += 8
    stream.finish("stop", text_tokens=1, audio_frames=1)
    metrics.close()
    last = outputs(sender.sent[-1])
    names = ("queue_seconds", "first_audio_seconds", "total_seconds")
    assert [last[name].tolist() for name in names] == [[1.0], [3.0], [7.0]]


def test_request_reaches_the_engine_in_the_models_own_terms(model: ScriptedModel) -> None:
    parameters: dict[str, Any] = {"voice": "BEA", "language": "French", "speed": 1.5}
    send(model, "Grüße", **parameters)
    expected = SpeechRequest(text="Grüße", voice="Bea", language="fr", speed=1.5, options=SpeechOptions(**parameters))
    assert model.engine.requests == [expected]


def test_absent_options_leave_the_choice_to_the_model(model: ScriptedModel) -> None:
    send(model)
    assert model.engine.requests == [SpeechRequest(text="Hello.", voice="", language="auto", speed=1.0)]
    assert model.engine.requests[0].timeout == math.inf


def test_timeout_reaches_the_engine_in_seconds(model: ScriptedModel) -> None:
    send(model, timeout=1_500_000)
    assert model.engine.requests[0].timeout == 1.5


@pytest.mark.parametrize(
    ("text", "parameters", "message"),
    [
        ("", {}, "text: is empty"),
        (" \n\u3000", {}, "text: is empty"),
        ("a\0b", {}, "text: contains a NUL character"),
        (b"\xff\xfe", {}, "text: not valid UTF-8"),
        ("x" * 4097, {}, "text: has 4097 characters; the limit is 4096 (MAX_INPUT_CHARS)"),
        (b"\xff" * 16_385, {}, "text: has 16385 bytes; the limit is 4096 characters (MAX_INPUT_CHARS)"),
        ("Hi.", {"voice": "cal"}, "voice: 'cal' is unknown; choose from: Ann, Bea"),
        ("Hi.", {"voice": "ann+bea"}, "voice: 'ann+bea' is unknown; choose from: Ann, Bea"),
        ("Hi.", {"language": "klingon"}, "language: 'klingon' is not supported; choose auto or one of: en, fr"),
        ("Hi.", {"language": "ko"}, "language: 'ko' is not supported; choose auto or one of: en, fr"),
        ("Hi.", {"speed": 9.0}, "speed: 9 is out of range; choose 0.5 to 2"),
        ("Hi.", {"pitch": 2}, f"pitch: unknown parameter; choose from: {', '.join(SpeechOptions.types())}"),
    ],
)
def test_invalid_value_is_rejected_with_its_name_and_the_allowed_values(
    model: ScriptedModel, text: str | bytes, parameters: dict[str, Any], message: str
) -> None:
    sender = send(model, text, **parameters)
    assert last_error(sender).message() == message
    assert last_error(sender).code() == pb_utils.TritonError.INVALID_ARG
    assert sender.finals == 1
    assert not model.engine.requests


def test_describe_returns_the_description_alone(model: ScriptedModel) -> None:
    sender = send(model, "", describe=True)
    (response,) = map(outputs, sender.sent)
    assert SpeechDescription.from_json(response["description"][0]) == DESCRIPTION
    assert list(response) == ["description"]
    assert (sender.finals, model.engine.requests) == (1, [])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Overloaded("full"), pb_utils.TritonError.UNAVAILABLE),
        (Cancelled("the client has left"), pb_utils.TritonError.CANCELLED),
        (DeadlinePassed("too late"), pb_utils.TritonError.CANCELLED),
        (ValueError("an internal detail"), pb_utils.TritonError.INTERNAL),
    ],
)
def test_engine_that_raises_ends_the_stream_with_one_error(model: ScriptedModel, error: Exception, code: int) -> None:
    def reject(stream: ResponseStream) -> None:
        raise error

    model.engine.act = reject
    sender = send(model)
    assert (last_error(sender).code(), sender.finals) == (code, 1)


def test_unsupported_option_is_rejected_with_the_models_that_support_it(model: ScriptedModel) -> None:
    message = last_error(send(model, instruct="Whisper it.")).message()
    assert message.startswith("instruct: not supported by this model")
    assert "qwen3-tts-1.7b-design" in message
    assert "kokoro-82m" not in message


def test_option_with_its_default_value_needs_no_support(model: ScriptedModel) -> None:
    assert send(model, instruct="", x_vector_only=False).finals == 1
    assert len(model.engine.requests) == 1


def test_ref_audio_is_checked_and_passed_on(model: ScriptedModel) -> None:
    audio = np.sin(np.arange(SPEECH_RATE, dtype=np.float32))
    for samples in (audio, audio[:100]):
        inputs = {"text": np.array([b"Hello."], np.object_), "ref_audio": samples.reshape(1, -1)}
        request = pb_utils.InferenceRequest(inputs)
        model.execute([request])
    assert last_error(request.sender).message().startswith("ref_audio: ")
    (accepted,) = model.engine.requests
    assert accepted.ref_audio is not None
    assert accepted.ref_audio.shape == (SPEECH_RATE,)


def test_engine_gets_the_voice_of_a_key_with_its_words(model: ScriptedModel) -> None:
    audio = np.sin(np.arange(SPEECH_RATE, dtype=np.float32))
    inputs = {"text": np.array([b"Hello."], np.object_), "ref_audio": audio}
    key = voice_key(audio_digest(audio), "Words.", x_vector_only=False)
    model.engine.description = replace(DESCRIPTION, options=(*DESCRIPTION.options, "ref_text", "voice_key"))
    assert last_error(send(model, voice_key=key)).code() == pb_utils.TritonError.NOT_FOUND
    sent = pb_utils.InferenceRequest(inputs, json.dumps({"voice_key": key, "ref_text": "Words."}))
    model.execute([sent])
    assert send(model, voice_key=key).finals == 1
    first, second = model.engine.requests
    assert second.reference is first.reference is not None
    assert second.options == first.options == SpeechOptions(voice_key=key, ref_text="Words.")


def test_internal_error_is_logged_with_its_traceback_and_sent_as_a_general_text(model: ScriptedModel) -> None:
    def fail(stream: ResponseStream) -> None:
        raise ValueError("an internal detail")

    model.engine.act = fail
    assert "detail" not in last_error(send(model)).message()
    level, message = pb_utils.Logger.lines[-1]
    assert level == "error"
    assert "request r1" in message
    assert "an internal detail" in message


def test_invalid_request_leaves_the_others_of_its_batch_alone(model: ScriptedModel) -> None:
    requests = [pb_utils.InferenceRequest({"text": np.array([text], np.object_)}) for text in (b"", b"Hello.")]
    model.execute(requests)
    assert [len(request.sender.sent) for request in requests] == [1, 3]
    assert [request.sender.finals for request in requests] == [1, 1]


def test_stream_that_the_engine_left_open_ends_when_the_model_stops(model: ScriptedModel) -> None:
    model.engine.act = lambda stream: stream.start()
    sender = send(model)
    assert sender.finals == 0
    model.finalize()
    assert model.engine.closed
    assert (last_error(sender).code(), sender.finals) == (pb_utils.TritonError.INTERNAL, 1)


def test_response_after_the_end_of_a_stream_is_logged(model: ScriptedModel) -> None:
    def send_after_the_end(stream: ResponseStream) -> None:
        stream.finish("stop", text_tokens=1, audio_frames=1)
        stream.audio(np.ones(1, np.int16))

    model.engine.act = send_after_the_end
    assert send(model).finals == 1
    assert "could not be sent" in pb_utils.Logger.lines[-1][1]


def test_metrics_count_first_audio_audio_seconds_ends_and_errors(model: ScriptedModel) -> None:
    send(model)
    send(model, "")
    assert len(pb_utils.Metric.values_of("tritone_ttfa_seconds")) == 1
    assert pb_utils.Metric.values_of("tritone_audio_seconds_total") == [1.0, 0.5]
    assert pb_utils.Metric.values_of("tritone_finished_total", reason="stop") == [1]
    assert pb_utils.Metric.values_of("tritone_errors_total", reason="invalid") == [1]
    assert sum(pb_utils.Metric.values_of("tritone_requests_total")) == 1
    assert sum(pb_utils.Metric.values_of("tritone_open_requests")) == 0


def values(name: str, **labels: str) -> list[float]:
    return pb_utils.Metric.values_of(name, **labels)


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    metrics = Metrics("test-voice", "speech")
    yield metrics
    metrics.close()


def test_metrics_have_the_wait_the_gaps_and_the_pauses_of_a_listener(metrics: Metrics) -> None:
    clock = ManualClock()
    stream = ResponseStream(pb_utils.ResponseSender(), metrics, clock=clock)
    stream.wait()
    assert values("tritone_waiting_requests") == [1]
    clock.now += 2
    stream.start()
    for pause, seconds in ((1.0, 1), (0.5, 1), (2.5, 2)):  # the third piece comes a second after the end of the second
        clock.now += pause
        stream.audio(np.ones(seconds * SPEECH_RATE, np.int16))
    stream.finish("stop", text_tokens=7, audio_frames=50)
    assert values("tritone_waiting_requests") == [1, -1]
    assert values("tritone_queue_seconds") == [2.0]
    assert values("tritone_ttfa_seconds") == [3.0]
    assert values("tritone_chunk_gap_seconds") == [0.5, 2.5]
    assert (values("tritone_playback_underruns_total"), values("tritone_playback_stall_seconds_total")) == ([1], [1.0])
    assert values("tritone_playback_continuity_ratio") == [0.8]
    assert values("tritone_real_time_factor") == [1.0]
    assert (values("tritone_text_tokens_total"), values("tritone_generated_tokens_total")) == ([7], [50])


def test_request_that_fails_while_it_waits_leaves_the_queue(metrics: Metrics) -> None:
    stream = ResponseStream(pb_utils.ResponseSender(), metrics)
    stream.wait()
    stream.fail(Overloaded("full"))
    assert values("tritone_waiting_requests") == [1, -1]
    assert values("tritone_queue_seconds") == []


def test_metrics_have_the_slots_and_the_batches_of_an_engine_once(metrics: Metrics) -> None:
    counts = EngineCounts(8, 0, 0)
    metrics.watch(lambda: counts)
    metrics.begin()
    counts = EngineCounts(8, 10, 45)
    metrics.end()
    metrics.begin()
    metrics.end()
    assert values("tritone_slots") == [8]
    assert (values("tritone_batches_total"), values("tritone_batch_items_total")) == ([10], [45])


def test_metrics_count_the_voices_that_are_sent_and_named(model: ScriptedModel) -> None:
    model.engine.description = replace(DESCRIPTION, options=("voice", "voice_key", "ref_text"))
    samples = np.linspace(-0.5, 0.5, SPEECH_RATE, dtype=np.float32)
    key = voice_key(audio_digest(samples), "One.", x_vector_only=False)
    for recording in (None, samples, None):
        inputs = {"text": np.array([b"Hello."], np.object_)} | ({} if recording is None else {"ref_audio": recording})
        options = {"voice_key": key} if recording is None else {"voice_key": key, "ref_text": "One."}
        model.execute([pb_utils.InferenceRequest(inputs, json.dumps(options), "r1", 0)])
    assert [len(values("tritone_voice_cache_total", result=result)) for result in ("miss", "sent", "hit")] == [1, 1, 1]


def test_stream_is_cancelled_once_its_sender_is(model: ScriptedModel) -> None:
    sender = pb_utils.ResponseSender()
    metrics = Metrics("test-voice", "speech")
    stream = ResponseStream(sender, metrics)
    assert not stream.is_cancelled()
    sender.cancelled = True
    assert stream.is_cancelled()
    metrics.close()


def test_int16_samples_are_clipped_at_full_scale() -> None:
    assert to_int16(np.array([0.0, 0.5, 1.0, -1.0, 3.0, -3.0], np.float32)).tolist() == [
        0, 16384, 32767, -32767, 32767, -32767,
    ]  # fmt: skip
