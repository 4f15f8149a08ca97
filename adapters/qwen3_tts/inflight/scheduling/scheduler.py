"""The queue and the slots of Qwen3-TTS: a stream reserves the frames that it may need."""

from __future__ import annotations

import time
from collections.abc import Callable

from adapters.inflight import scheduler
from adapters.inflight.scheduler import Limits
from adapters.qwen3_tts.frames import FRAME_SECONDS
from adapters.qwen3_tts.inflight.io.input_processor import PreparedInput
from adapters.qwen3_tts.inflight.scheduling.stream import Stream
from tritone.errors import InvalidInput


class Scheduler(scheduler.Scheduler[Stream]):
    """The scheduler of the engine's streams; tokens are codec tokens."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(limits, FRAME_SECONDS, clock)
        self._positions = limits.positions

    def submit(self, stream: Stream) -> None:
        """Accept a stream; raises `Overloaded` at capacity."""
        self.enqueue(stream, stream.request.max_tokens)

    def mark_ready(self, stream: Stream, prepared: PreparedInput) -> None:
        """Make a prepared stream eligible for a slot; raises `InvalidInput` if it does not fit into one."""
        prompt, request = len(prepared.prompt.embeddings), stream.request
        room = self._positions - prompt
        if room < 2:  # an end comes after one token at the earliest, and a frame needs two
            raise InvalidInput("text", f"needs {prompt} positions with its prompt; at most {self._positions - 2}")
        stream.limit = min(request.max_tokens, room)
        stream.limit_reason = request.limit_reason if request.max_tokens <= room else "length"
        stream.prepared = prepared
        self.mark_prepared(stream)
