"""What every speech model shares inside Triton: requests in, a stream of audio out, one last response on every path.

A model family gives an `Engine`; its `TritonPythonModel` is a `SpeechModel` that says how to build it.
"""

from __future__ import annotations

import json
import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from adapters.settings import MAX_INPUT_CHARS
from adapters.triton.errors import to_triton
from adapters.triton.instance import Instance
from adapters.triton.metrics import Metrics
from adapters.triton.reference import check_reference
from tritone.contract import SPEECH, SPEECH_RATE, SpeechDescription, SpeechOptions
from tritone.errors import Cancelled, InvalidInput, Overloaded
from tritone.languages import code_of

FinishReason = Literal["stop", "length", "runaway"]

_DTYPES: Mapping[str, type[np.generic]] = {
    "BYTES": np.object_,
    "FP32": np.float32,
    "INT16": np.int16,
    "INT32": np.int32,
}
_OUTPUTS = {tensor.name: _DTYPES[tensor.dtype] for tensor in (*SPEECH.outputs, *SPEECH.final_outputs)}


@dataclass(frozen=True)
class SpeechRequest:
    """What to speak, checked against the model's description."""

    text: str
    voice: str
    """The id of a voice of the model, or empty for the model to choose."""
    language: str
    """The code of a language of the model, or `auto`."""
    speed: float
    options: SpeechOptions = field(default_factory=SpeechOptions)
    """Everything else that the caller asked for, none of which the model does not follow."""
    ref_audio: NDArray[np.float32] | None = field(default=None, compare=False)
    """The voice to clone: mono samples (n,) at `SPEECH_RATE`; only voice clone models get one."""
    timeout: float = math.inf
    """Seconds from arrival after which the caller has no use for the rest; an engine may pass it over."""

    @classmethod
    def read(
        cls,
        text: bytes,
        options: SpeechOptions,
        model: SpeechDescription,
        max_chars: int,
        *,
        ref_audio: NDArray[np.float32] | None = None,
        timeout: float = math.inf,
    ) -> SpeechRequest:
        """Check what came over the wire; raises `InvalidInput` naming the tensor or parameter at fault."""
        _followed(options, model)
        if ref_audio is not None:
            check_reference(ref_audio)
        return cls(
            text=_text(text, max_chars),
            voice=_voice(options.voice, model),
            language=_language(options.language, model),
            speed=_speed(options.speed, model),
            options=options,
            ref_audio=ref_audio,
            timeout=timeout,
        )


class Reply:
    """The way back to one caller: any number of `audio` calls, then exactly one of `finish` and `fail`.

    An engine may use it from any one thread at a time.
    """

    def __init__(
        self,
        sender: Any,
        metrics: Metrics,
        request_id: str = "",
        *,
        on_end: Callable[[Reply], None] = lambda reply: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sender = sender
        self._metrics = metrics
        self._request_id = request_id
        self._on_end = on_end
        self._clock = clock
        self._arrived = clock()
        self._started: float | None = None
        self._first_audio: float | None = None
        self._last_audio: float | None = None
        self._samples = 0

    def is_cancelled(self) -> bool:
        """Whether the caller has gone; costs about 25 microseconds."""
        return bool(self._sender.is_cancelled())

    def start(self) -> None:
        """Work on the request begins: its time in the queue is over. Later calls change nothing."""
        if self._started is None:
            self._started = self._clock()

    def audio(self, samples: NDArray[np.int16]) -> None:
        """Send the next piece of the stream: mono, `SPEECH_RATE` Hz, any length above 0."""
        self._sender.send(_response({"audio": samples, "sample_rate": [SPEECH_RATE]}))
        self._last_audio = self._clock()
        if self._first_audio is None:
            self._first_audio = self._last_audio
            self._metrics.first_audio(self._first_audio - self._arrived)
        self._samples += len(samples)
        self._metrics.audio(len(samples) / SPEECH_RATE)

    def finish(self, reason: FinishReason, *, text_tokens: int, audio_frames: int) -> None:
        """End the stream: everything that will be spoken has been sent."""
        self._metrics.finished(reason)
        self._end(
            _response(
                {
                    "audio": [],
                    "sample_rate": [SPEECH_RATE],
                    "finish_reason": [reason.encode()],
                    "text_tokens": [text_tokens],
                    "audio_frames": [audio_frames],
                    "queue_seconds": [self._since_arrival(self._started)],
                    "first_audio_seconds": [self._since_arrival(self._first_audio)],
                    "total_seconds": [self._since_arrival(self._last_audio)],
                }
            )
        )

    def describe(self, description: SpeechDescription) -> None:
        """End the stream with the model's description, and no audio."""
        self._end(_response({"description": [description.to_json().encode()]}))

    def fail(self, error: BaseException) -> None:
        """End the stream with an error, which is counted, and logged if it is ours. Never raises."""
        self._metrics.error(error)
        if isinstance(error, Cancelled):
            spoken = self._samples / SPEECH_RATE
            pb_utils.Logger.log_info(f"request {self._request_id or '-'}: cancelled after {spoken:.2f} s of audio")
        try:
            self._end(pb_utils.InferenceResponse(error=to_triton(error, self._request_id)))
        except Exception as lost:
            pb_utils.Logger.log_error(f"request {self._request_id or '-'}: its answer could not be sent: {lost}")

    def _end(self, response: Any) -> None:
        self._on_end(self)
        self._sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def _since_arrival(self, moment: float | None) -> float:
        return (self._clock() if moment is None else moment) - self._arrived


class Engine(Protocol):
    """What turns requests into audio."""

    description: SpeechDescription

    def submit(self, request: SpeechRequest, reply: Reply) -> None:
        """Take a request and return soon; the engine then ends `reply`, whatever happens.

        Raises `InvalidInput` or `Overloaded` for one that it does not take, and leaves its reply alone.
        """

    def close(self) -> None:
        """Take no more, fail what is open, and return once nothing runs."""


def check_room(held: int, most: int, *, closing: bool) -> None:
    """Raise `Overloaded` in an engine that holds `held` requests of `most`, or that is closing."""
    if closing:
        raise Overloaded("the model is shutting down; try another server")
    if held >= most:
        raise Overloaded(f"the model holds {most} requests at a time; try again in a moment")


class SpeechModel(ABC):
    """A speech model as Triton calls it: `initialize` once, `execute` for every batch of requests, `finalize` once."""

    @abstractmethod
    def load(self, instance: Instance) -> Engine:
        """Load the checkpoint and make sure that it speaks; called once."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the model."""
        instance = Instance.from_args(args)
        self._max_chars = MAX_INPUT_CHARS.read()
        self._open: set[Reply] = set()
        self._lock = threading.Lock()
        self._engine = self.load(instance)
        self._metrics = Metrics(instance.model)

    def execute(self, requests: Sequence[Any]) -> None:
        """Hand every request to the engine; the answers leave through their response senders."""
        for request in requests:
            reply = Reply(request.get_response_sender(), self._metrics, request.request_id(), on_end=self._forget)
            with self._lock:
                self._open.add(reply)
            try:
                options = SpeechOptions.from_parameters(json.loads(request.parameters() or "{}"))
                if options.describe:
                    reply.describe(self._engine.description)
                    continue
                text = _input(request, "text")
                assert text is not None, "Triton refuses a request without it"
                speech = SpeechRequest.read(
                    text[0],
                    options,
                    self._engine.description,
                    self._max_chars,
                    ref_audio=_input(request, "ref_audio"),
                    timeout=_timeout(request),
                )
                self._engine.submit(speech, reply)
            except Exception as error:
                reply.fail(error)

    def finalize(self) -> None:
        """Stop; a stream that the engine left open would keep its caller, and the server, waiting for ever."""
        self._engine.close()
        with self._lock:
            left = list(self._open)
        for reply in left:
            reply.fail(RuntimeError("the engine closed without ending this request"))
        self._metrics.close()

    def _forget(self, reply: Reply) -> None:
        with self._lock:
            self._open.discard(reply)


def to_int16(audio: NDArray[np.float32]) -> NDArray[np.int16]:
    """Samples of -1 to 1 as 16-bit integers; what lies beyond is clipped."""
    samples: NDArray[np.int16] = np.rint(np.clip(audio, -1.0, 1.0) * 32767).astype(np.int16)
    return samples


def _response(outputs: Mapping[str, Any]) -> Any:
    tensors = [pb_utils.Tensor(name, np.asarray(values, dtype=_OUTPUTS[name])) for name, values in outputs.items()]
    return pb_utils.InferenceResponse(output_tensors=tensors)


def _timeout(request: Any) -> float:
    """Triton's request parameter `timeout`, which it leaves to the model to keep, in seconds; none is 0 there."""
    return request.timeout() / 1e6 or math.inf


def _input(request: Any, name: str) -> NDArray[Any] | None:
    """The elements of an input tensor; None where the caller sent none."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return None if tensor is None else tensor.as_numpy().reshape(-1)


def _followed(options: SpeechOptions, model: SpeechDescription) -> None:
    """Raise `InvalidInput` for an option that was set and that the model does not follow."""
    given = options.to_parameters()
    for option in fields(options):
        if option.name in given and option.name not in model.follows:
            others = ", ".join(option.metadata["followed_by"])
            raise InvalidInput(option.name, f"this model does not follow it; leave it out, or use one of: {others}")


def _text(raw: bytes, max_chars: int) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput("text", "not valid UTF-8") from None
    if "\0" in text:
        raise InvalidInput("text", "contains a NUL character")
    if not text.strip():
        raise InvalidInput("text", "is empty")
    if len(text) > max_chars:
        raise InvalidInput("text", f"has {len(text)} characters; at most {max_chars} are spoken (MAX_INPUT_CHARS)")
    return text


def _voice(name: str, model: SpeechDescription) -> str:
    ids = {voice.id.lower(): voice.id for voice in model.voices}
    wanted = name.strip().lower()
    if wanted and wanted not in ids:
        raise InvalidInput("voice", f"{name!r} is unknown; there are: {', '.join(ids.values())}")
    return ids.get(wanted, "")


def _language(name: str, model: SpeechDescription) -> str:
    if name.strip().lower() in ("", "auto"):
        return "auto"
    code = code_of(name)
    if code not in model.languages:
        raise InvalidInput("language", f"{name!r} is not spoken; choose auto or one of: {', '.join(model.languages)}")
    return code


def _speed(speed: float, model: SpeechDescription) -> float:
    low, high = model.speed_range
    if not low <= speed <= high:
        raise InvalidInput("speed", f"{speed:g} is out of range; choose {low:g} to {high:g}")
    return speed
