"""A request to `transcription-long`: the recording, and its responses."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from adapters.companions.remote_transcriber import TranscribeRemotely
from adapters.triton.errors import client_left
from adapters.triton.responses import response_of, send_error, send_final
from adapters.triton.speech_request import timeout_of
from tritone.contract import (
    LISTEN_RATE,
    LONG_SECONDS,
    PROMPT_CHARS,
    LongTranscriptionOptions,
    TranscriptionOptions,
)
from tritone.errors import InvalidInput
from tritone.options import Value
from tritone.samples import check_samples
from tritone.transcribe_windows import IN_FLIGHT, WindowTranscript, iter_windows, next_prompt, transcribe_windows
from tritone.transcript import Transcript
from tritone.windowing import Samples, SpeechDetector, Window

_BLOCK = 10 * LISTEN_RATE
_OWN_OPTIONS = frozenset(LongTranscriptionOptions.types()) - frozenset(TranscriptionOptions.types())
"""Options of `transcription-long` that the transcription model does not have."""


class Recording:
    """One client's recording."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._sender = request.get_response_sender()
        self._id: str = request.request_id()
        self._deadline = time.monotonic() + timeout_of(request)

    def seconds_left(self) -> float:
        """Return the seconds after which the client does not wait any longer; infinite where it set no `timeout`."""
        return self._deadline - time.monotonic()

    def check_wanted(self) -> None:
        """Raise `Cancelled` if the client has cancelled the request."""
        if self._sender.is_cancelled():
            raise client_left()

    def read(self) -> None:
        """Read and check the request's tensors and options; raises `InvalidInput`."""
        self.options = LongTranscriptionOptions.from_parameters(json.loads(self._request.parameters() or "{}"))
        if self.options.describe:
            raise InvalidInput("describe", "not supported by this model; call a transcription model")
        if self.options.partial_text:
            raise InvalidInput("partial_text", "not supported by this model, which answers by windows; leave it out")
        self._audio: NDArray[np.float32] = pb_utils.get_input_tensor_by_name(self._request, "audio").as_numpy()
        seconds = len(self._audio) / LISTEN_RATE
        if seconds > LONG_SECONDS:
            raise InvalidInput("audio", f"{seconds:.0f} s is too long; a recording is at most {LONG_SECONDS} s")
        if seconds == 0:
            raise InvalidInput("audio", "it is empty")
        check_samples("audio", self._audio)

    def transcribe(
        self, model: str, detect: SpeechDetector, transcribe: TranscribeRemotely
    ) -> AsyncGenerator[WindowTranscript]:
        """Yield the transcripts of the recording's windows in order, each as soon as it is known."""
        conditioned = self.options.condition_on_previous_text
        for_model = self._options_for_model()
        previous = ""

        async def transcribe_window(window: Window, language: str, background: bool) -> Transcript:
            nonlocal previous
            self.check_wanted()
            prompt = (self.options.prompt + previous)[-PROMPT_CHARS:]
            clip = for_model.clip and window.whole
            options = replace(for_model, language=language, prompt=prompt, background=background, clip=clip)
            transcript = await asyncio.to_thread(
                transcribe, model, window.samples, options, self._id, self.seconds_left()
            )
            if conditioned:
                previous = next_prompt(transcript.segments, previous)
            return transcript

        return transcribe_windows(
            iter_windows(_blocks(self._audio), detect),
            transcribe_window,
            self.options.language,
            in_flight=1 if conditioned else IN_FLIGHT,
        )

    def send(self, transcript: WindowTranscript) -> None:
        """Send the response of one window."""
        columns = Transcript(transcript.language, transcript.language_probability, transcript.segments).to_columns()
        outputs: dict[str, Any] = {name: column[0] for name, column in columns.items()}
        outputs |= {"window_start": [transcript.start], "window_seconds": [transcript.seconds]}
        self._sender.send(response_of(outputs))

    def end(self, error: Exception | None = None) -> None:
        """Send the last response, which is empty unless there is an error. Never raises."""
        if error:
            send_error(self._sender, error, self._id)
        else:
            send_final(self._sender, None, self._id)

    def _options_for_model(self) -> TranscriptionOptions:
        values: dict[str, Value] = {
            name: value for name, value in self.options.to_parameters().items() if name not in _OWN_OPTIONS
        }
        return TranscriptionOptions.from_parameters(values)


def _blocks(audio: Samples) -> Iterator[Samples]:
    return (audio[start : start + _BLOCK] for start in range(0, len(audio), _BLOCK))
