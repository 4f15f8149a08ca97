"""Recordings of any length for direct callers: cut here, and heard by the model that this one is named for.

It runs no network but the small one that finds speech. `whisper-base-long` calls `whisper-base`, by the Python
backend's calls of one model by another ("BLS"), so Triton batches its windows with everybody else's.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from adapters.triton.errors import to_triton
from adapters.triton.instance import Instance
from adapters.triton.metrics import Metrics
from adapters.triton.window import check_samples
from tritone import errors, vad
from tritone.contract import LISTEN_RATE, LONG_SECONDS, TRANSCRIPTION, TranscriptionOptions
from tritone.errors import Cancelled, InvalidInput, Overloaded
from tritone.transcribe_windows import IN_FLIGHT, WindowTranscript, next_prompt, transcribe_windows
from tritone.transcript import Transcript
from tritone.windowing import Samples, SpeechDetector, Window, split_at_silence

SUFFIX = "-long"
MAX_RECORDINGS = 16
"""At once; each holds its audio, 230 MB an hour, in shared memory."""
_BLOCK = 10 * LISTEN_RATE
_PROMPT_CHARS = 4096
"""Of the text before a window; models hear some 200 tokens of it."""


class TritonPythonModel:
    """`<id>-long` as Triton serves it. Its weights are the speech detector's, MODEL_DIR/silero-vad."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the detector, and start the loop that every recording runs in."""
        instance = Instance.from_args(args)
        self._target = instance.model.removesuffix(SUFFIX)
        self._detector = vad.load(instance.folder.parent)
        self._metrics = Metrics(instance.model)
        self._open: set[Future[None]] = set()
        self._loop = asyncio.new_event_loop()
        # A thread for every call that is open, and for each recording's cutting.
        self._loop.set_default_executor(ThreadPoolExecutor(MAX_RECORDINGS * (IN_FLIGHT + 1)))
        self._thread = threading.Thread(target=self._loop.run_forever, name="recordings")
        self._thread.start()

    def execute(self, requests: Sequence[Any]) -> None:
        """Begin to hear each recording; the answers leave through the response senders."""
        for request in requests:
            recording = _Recording(request)
            try:
                if len(self._open) >= MAX_RECORDINGS:
                    raise Overloaded(f"{MAX_RECORDINGS} recordings are being heard already; try again")
                if not pb_utils.is_model_ready(self._target):
                    raise Overloaded(f"{self._target} is not loaded; try again")
                recording.read()
            except Exception as error:
                self._fail(recording, error)
                continue
            hearing = asyncio.run_coroutine_threadsafe(self._hear(recording), self._loop)
            self._open.add(hearing)
            hearing.add_done_callback(self._open.discard)

    def finalize(self) -> None:
        """End what is open, with an error, and stop."""
        asyncio.run_coroutine_threadsafe(self._end_all(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._metrics.close()

    async def _end_all(self) -> None:
        hearings = asyncio.all_tasks() - {asyncio.current_task()}
        for hearing in hearings:
            hearing.cancel()
        await asyncio.gather(*hearings, return_exceptions=True)
        await self._loop.shutdown_default_executor()

    async def _hear(self, recording: _Recording) -> None:
        try:
            async with aclosing(recording.passages(vad.Vad(self._detector), self._target)) as passages:
                async for passage in passages:
                    recording.send(passage)
        except asyncio.CancelledError:
            self._fail(recording, RuntimeError("the model was unloaded"))
        except Exception as error:
            self._fail(recording, error)
        else:
            recording.end()

    def _fail(self, recording: _Recording, error: Exception) -> None:
        self._metrics.error(error)
        recording.end(error)


class _Recording:
    """One caller's recording, and the way back."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._sender = request.get_response_sender()
        self._id: str = request.request_id()
        self._said = ""

    def read(self) -> None:
        """Take in what the caller sent. Raises `InvalidInput`."""
        self._options = TranscriptionOptions.from_parameters(json.loads(self._request.parameters() or "{}"))
        self._audio: NDArray[np.float32] = pb_utils.get_input_tensor_by_name(self._request, "audio").as_numpy()
        seconds = len(self._audio) / LISTEN_RATE
        if seconds > LONG_SECONDS:
            raise InvalidInput("audio", f"{seconds:.0f} s is too long; a recording is at most {LONG_SECONDS} s")
        if seconds == 0:
            raise InvalidInput("audio", "it is empty")
        check_samples(self._audio)

    def passages(self, detect: SpeechDetector, model: str) -> AsyncGenerator[WindowTranscript]:
        """What `model` hears, window by window."""
        conditioned = self._options.condition_on_previous_text

        async def hear(window: Window, language: str, background: bool) -> Transcript:
            if self._sender.is_cancelled():
                raise Cancelled("the caller left")
            options = replace(
                self._options,
                language=language,
                prompt=(self._options.prompt + self._said)[-_PROMPT_CHARS:],
                condition_on_previous_text=False,
                background=background,
            )
            # Such a call carries no priority; Triton takes the default, that of the rest.
            transcript = await asyncio.to_thread(_infer, model, window.samples, options, self._id)
            if conditioned:
                self._said = next_prompt(transcript.segments, self._said)
            return transcript

        return transcribe_windows(
            _windows(self._audio, detect), hear, self._options.language, in_flight=1 if conditioned else IN_FLIGHT
        )

    def send(self, passage: WindowTranscript) -> None:
        """One response: what was heard in one window."""
        columns = Transcript(passage.language, passage.language_probability, passage.segments).to_columns()
        tensors = [pb_utils.Tensor(name, column[0]) for name, column in columns.items()]
        for name, seconds in (("window_start", passage.start), ("window_seconds", passage.seconds)):
            tensors.append(pb_utils.Tensor(name, np.array([seconds], np.float32)))
        self._sender.send(pb_utils.InferenceResponse(tensors))

    def end(self, error: Exception | None = None) -> None:
        """The last response, which is empty unless there is an error. Never raises."""
        response = [pb_utils.InferenceResponse(error=to_triton(error, self._id))] if error else []
        try:
            self._sender.send(*response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        except Exception as lost:
            pb_utils.Logger.log_error(f"request {self._id or '-'}: its answer could not be sent: {lost}")


async def _windows(audio: Samples, detect: SpeechDetector) -> AsyncGenerator[Window]:
    """Cut in worker threads, a window each time that one is asked for."""
    windows = split_at_silence(_blocks(audio), detect)
    while (window := await asyncio.to_thread(next, windows, None)) is not None:
        yield window


def _blocks(audio: Samples) -> Iterator[Samples]:
    return (audio[start : start + _BLOCK] for start in range(0, len(audio), _BLOCK))


def _infer(model: str, samples: Samples, options: TranscriptionOptions, request_id: str) -> Transcript:
    """What `model` hears in one window; raises its error as ours."""
    response = pb_utils.InferenceRequest(
        model_name=model,
        request_id=request_id,
        requested_output_names=[tensor.name for tensor in TRANSCRIPTION.outputs],
        inputs=[pb_utils.Tensor("audio", samples[np.newaxis])],
        parameters={name: _wire(value) for name, value in options.to_parameters().items()},
    ).exec()
    if response.has_error():
        message = response.error().message()
        raise errors.from_text(message) or RuntimeError(f"{model}: {message}")
    return Transcript.from_columns({tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()})


def _wire(value: str | bool | int | float) -> str | bool | int:
    """Such a call takes no floating-point parameters; the contract takes numbers as text."""
    return str(value) if isinstance(value, float) else value
