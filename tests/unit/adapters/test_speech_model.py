from __future__ import annotations

import json
import math
from collections.abc import Iterator

import numpy as np
import pytest
import triton_python_backend_utils as pb_utils

from adapters.triton.instance import Instance
from adapters.triton.speech import Engine, Reply, SpeechModel, SpeechRequest, to_int16
from tritone.contract import SPEECH_RATE, SpeechDescription, SpeechOptions, Voice
from tritone.errors import Cancelled, DeadlinePassed, Overloaded

ARGS = {
    "model_name": "a-voice",
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
    """Does with a request what the test says, at once and in the caller's thread."""

    description = DESCRIPTION

    def __init__(self) -> None:
        self.requests: list[SpeechRequest] = []
        self.act = self.speak
        self.closed = False

    def submit(self, request: SpeechRequest, reply: Reply) -> None:
        self.requests.append(request)
        self.act(reply)

    def speak(self, reply: Reply) -> None:
        reply.start()
        reply.audio(np.ones(SPEECH_RATE, np.int16))
        reply.audio(np.ones(SPEECH_RATE // 2, np.int16))
        reply.finish("stop", text_tokens=7, audio_frames=60)

    def close(self) -> None:
        self.closed = True


class AVoice(SpeechModel):
    def load(self, instance: Instance) -> Engine:
        self.engine = ScriptedEngine()
        return self.engine


@pytest.fixture
def model() -> Iterator[AVoice]:
    model = AVoice()
    model.initialize(ARGS)
    yield model
    model.finalize()
    assert not pb_utils.Metric.alive


def ask(
    model: AVoice, text: str | bytes = "Hello.", *, timeout: int = 0, **parameters: object
) -> pb_utils.ResponseSender:
    raw = text.encode() if isinstance(text, str) else text
    request = pb_utils.InferenceRequest({"text": np.array([raw], np.object_)}, json.dumps(parameters), "r1", timeout)
    model.execute([request])
    return request.sender


def outputs(response: pb_utils.InferenceResponse) -> dict[str, np.ndarray]:
    return {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}


def the_error(sender: pb_utils.ResponseSender) -> pb_utils.TritonError:
    error = sender.sent[-1].error()
    assert error is not None
    return error


def test_audio_leaves_as_it_is_made_and_the_last_response_says_how_it_ended(model: AVoice) -> None:
    sender = ask(model)
    first, second, last = map(outputs, sender.sent)
    assert (len(first["audio"]), len(second["audio"]), len(last["audio"])) == (24_000, 12_000, 0)
    assert first["audio"].dtype == np.int16
    assert first["sample_rate"].tolist() == [24_000]
    assert last["finish_reason"].tolist() == [b"stop"]
    assert (last["text_tokens"].tolist(), last["audio_frames"].tolist()) == ([7], [60])
    assert 0 <= last["queue_seconds"][0] <= last["first_audio_seconds"][0] <= last["total_seconds"][0]
    assert sender.finals == 1


def test_a_request_reaches_the_engine_checked_and_in_the_models_own_words(model: AVoice) -> None:
    asked = {"voice": "BEA", "language": "French", "speed": 1.5}
    ask(model, "Grüße", **asked)
    in_words = SpeechRequest(text="Grüße", voice="Bea", language="fr", speed=1.5, options=SpeechOptions(**asked))
    assert model.engine.requests == [in_words]


def test_what_the_caller_left_out_is_the_models_to_choose(model: AVoice) -> None:
    ask(model)
    assert model.engine.requests == [SpeechRequest(text="Hello.", voice="", language="auto", speed=1.0)]


def test_the_time_that_a_request_is_given_reaches_the_engine_in_seconds(model: AVoice) -> None:
    ask(model, timeout=1_500_000)
    ask(model)
    assert [request.timeout for request in model.engine.requests] == [1.5, math.inf]


@pytest.mark.parametrize(
    ("text", "parameters", "message"),
    [
        ("", {}, "text: is empty"),
        (" \n\u3000", {}, "text: is empty"),
        ("a\0b", {}, "text: contains a NUL character"),
        (b"\xff\xfe", {}, "text: not valid UTF-8"),
        ("x" * 4097, {}, "text: has 4097 characters; at most 4096 are spoken (MAX_INPUT_CHARS)"),
        ("Hi.", {"voice": "cal"}, "voice: 'cal' is unknown; there are: Ann, Bea"),
        ("Hi.", {"language": "klingon"}, "language: 'klingon' is not spoken; choose auto or one of: en, fr"),
        ("Hi.", {"language": "ko"}, "language: 'ko' is not spoken; choose auto or one of: en, fr"),
        ("Hi.", {"speed": 9.0}, "speed: 9 is out of range; choose 0.5 to 2"),
        ("Hi.", {"pitch": 2}, f"pitch: unknown parameter; there are: {', '.join(SpeechOptions.types())}"),
    ],
)
def test_a_callers_mistake_is_answered_with_its_name_and_what_would_be_right(
    model: AVoice, text: str | bytes, parameters: dict[str, object], message: str
) -> None:
    sender = ask(model, text, **parameters)
    assert the_error(sender).message() == message
    assert the_error(sender).code() == pb_utils.TritonError.INVALID_ARG
    assert sender.finals == 1
    assert not model.engine.requests


def test_describe_answers_with_the_description_alone(model: AVoice) -> None:
    sender = ask(model, "", describe=True)
    (answer,) = map(outputs, sender.sent)
    assert SpeechDescription.from_json(answer["description"][0]) == DESCRIPTION
    assert (sender.finals, model.engine.requests) == (1, [])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Overloaded("full"), pb_utils.TritonError.UNAVAILABLE),
        (Cancelled("gone"), pb_utils.TritonError.CANCELLED),
        (DeadlinePassed("too late"), pb_utils.TritonError.CANCELLED),
        (ValueError("a secret of ours"), pb_utils.TritonError.INTERNAL),
    ],
)
def test_an_engine_that_raises_ends_the_stream_with_one_error(model: AVoice, error: Exception, code: int) -> None:
    def refuse(reply: Reply) -> None:
        raise error

    model.engine.act = refuse
    sender = ask(model)
    assert (the_error(sender).code(), sender.finals) == (code, 1)


def test_an_option_that_the_model_does_not_follow_is_refused_with_the_models_that_do(model: AVoice) -> None:
    message = the_error(ask(model, instruct="Whisper it.")).message()
    assert message.startswith("instruct: this model does not follow it")
    assert "qwen3-tts-1.7b-design" in message


def test_an_option_at_its_default_is_no_option(model: AVoice) -> None:
    assert ask(model, instruct="", x_vector_only=False).finals == 1
    assert len(model.engine.requests) == 1


def test_a_reference_is_checked_and_handed_on(model: AVoice) -> None:
    audio = np.sin(np.arange(SPEECH_RATE, dtype=np.float32))
    for samples in (audio, audio[:100]):
        inputs = {"text": np.array([b"Hello."], np.object_), "ref_audio": samples.reshape(1, -1)}
        request = pb_utils.InferenceRequest(inputs)
        model.execute([request])
    assert the_error(request.sender).message().startswith("ref_audio: ")
    (spoken,) = model.engine.requests
    assert spoken.ref_audio is not None
    assert spoken.ref_audio.shape == (SPEECH_RATE,)


def test_our_own_fault_is_logged_whole_and_told_in_general_words(model: AVoice) -> None:
    def fail(reply: Reply) -> None:
        raise ValueError("a secret of ours")

    model.engine.act = fail
    assert "secret" not in the_error(ask(model)).message()
    level, message = pb_utils.Logger.lines[-1]
    assert level == "error"
    assert "request r1" in message
    assert "a secret of ours" in message


def test_one_bad_request_of_a_batch_leaves_the_others_alone(model: AVoice) -> None:
    requests = [pb_utils.InferenceRequest({"text": np.array([text], np.object_)}) for text in (b"", b"Hello.")]
    model.execute(requests)
    assert [len(request.sender.sent) for request in requests] == [1, 3]
    assert [request.sender.finals for request in requests] == [1, 1]


def test_a_stream_that_the_engine_left_open_is_ended_when_the_model_stops(model: AVoice) -> None:
    model.engine.act = lambda reply: reply.start()
    sender = ask(model)
    assert sender.finals == 0
    model.finalize()
    assert model.engine.closed
    assert (the_error(sender).code(), sender.finals) == (pb_utils.TritonError.INTERNAL, 1)


def test_a_caller_that_cannot_be_reached_any_more_harms_nobody(model: AVoice) -> None:
    def send_after_the_end(reply: Reply) -> None:
        reply.finish("stop", text_tokens=1, audio_frames=1)
        reply.audio(np.ones(1, np.int16))

    model.engine.act = send_after_the_end
    assert ask(model).finals == 1
    assert "could not be sent" in pb_utils.Logger.lines[-1][1]


def test_metrics_count_first_audio_audio_seconds_ends_and_errors(model: AVoice) -> None:
    metrics = model._metrics
    ask(model)
    ask(model, "")
    assert len(metrics._ttfa.values) == 1
    assert metrics._audio.values == [1.0, 0.5]
    assert metrics._finished["stop"].values == [1]
    assert metrics._errors["invalid"].values == [1]


def test_cancellation_is_asked_of_the_sender(model: AVoice) -> None:
    seen = []
    model.engine.act = lambda reply: seen.append(reply.is_cancelled())
    ask(model)
    assert seen == [False]


def test_samples_beyond_full_scale_are_clipped() -> None:
    assert to_int16(np.array([0.0, 0.5, 1.0, -1.0, 3.0, -3.0], np.float32)).tolist() == [
        0, 16384, 32767, -32767, 32767, -32767,
    ]  # fmt: skip
