"""From codes to audio: chunks of equal size are decoded together, and sent in order when the device has them."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adapters.qwen3_tts.frames import SAMPLES_PER_FRAME
from adapters.qwen3_tts.inflight.codec.streaming import StreamingCodec
from adapters.qwen3_tts.inflight.device.async_copy import AsyncCopy
from adapters.qwen3_tts.inflight.scheduling.chunk_schedule import ChunkSchedule
from adapters.qwen3_tts.inflight.scheduling.stream import Stream

_COMFORTABLE_SECONDS = 1.0
"""A stream with at least so much buffered audio can wait..."""
_TOGETHER = 4
"""...for every fourth step, to share a batch."""
_POLL_SECONDS = 2e-4
"""Between two polls of the audio on the device: short compared with a frame, long compared with a poll."""


class _IssuedChunk(NamedTuple):
    """A batch of chunks that is queued on the device."""

    streams: Sequence[Stream]
    frames: Sequence[int]
    """Frames of each stream. The decoded chunk may be longer."""
    audio: AsyncCopy
    """(n, samples) float32."""


class AudioDecoder:
    """Decodes the frames of streams and sends their audio, on the stepping thread. It never waits while frames are due.

    Streams are admitted at different times, so their chunks are complete at different frames. A stream with much
    buffered audio waits a few frames for others; a stream with little does not wait.
    """

    def __init__(
        self,
        codec: StreamingCodec,
        chunk_schedule: ChunkSchedule,
        clock: Callable[[], float],
        *,
        finish: Callable[[Stream], None],
        fail: Callable[[Stream, BaseException], None],
    ) -> None:
        """`finish` or `fail` is called once for each stream, to end it."""
        self._codec = codec
        self._chunk_schedule = chunk_schedule
        self._clock = clock
        self._finish = finish
        self._fail = fail
        self._steps = 0
        self._issued: deque[_IssuedChunk] = deque()

    def step(self, streams: Sequence[Stream], *, idle: bool) -> None:
        """Decode the chunks that are due, send the audio that is ready, and end the streams that are complete.

        `idle`: there is no other work, so wait for the audio on the device.
        """
        self._steps += 1
        self._decode(streams, together=idle or self._steps % _TOGETHER == 0)
        if idle and self._issued:
            self._collect(self._issued.popleft())
        self._collect_ready()
        for stream in streams:
            if stream.reason and not stream.codes and not stream.decoding and not stream.over:
                self._finish(stream)

    def send_until(self, frame: AsyncCopy) -> None:
        """Send audio that becomes ready before `frame` does, so that a first chunk does not wait for the frame."""
        while self._issued and not frame.is_ready:
            if self._issued[0].audio.is_ready:
                self._collect(self._issued.popleft())
            else:
                time.sleep(_POLL_SECONDS)

    def _decode(self, streams: Sequence[Stream], *, together: bool) -> None:
        """Issue one batch per chunk size, the size with the least buffered stream first.

        On a CPU a batch is ready at once, and is sent before the next is decoded.
        """
        now = self._clock()
        due: dict[int, list[Stream]] = defaultdict(list)
        for stream in sorted(streams, key=lambda stream: (stream.buffered_seconds(now), stream.arrived)):
            if not stream.over and (size := self._due(stream)):
                due[size].append(stream)
        for size, batch in due.items():
            if together or batch[0].buffered_seconds(now) < _COMFORTABLE_SECONDS:
                self._issue(batch, size)
                self._collect_ready()

    def _due(self, stream: Stream) -> int:
        """Return the size of the stream's next chunk; 0 if the chunk is not complete.

        The last chunk is padded to a size of the schedule. The codec is causal, so padding changes no sample before it,
        and the state after it is not needed.
        """
        size, made = self._chunk_schedule.size(stream.chunks), len(stream.codes)
        if made >= size:
            return size
        return self._chunk_schedule.smallest_for(made) if made and stream.reason else 0

    def _issue(self, streams: Sequence[Stream], size: int) -> None:
        chunks = [[stream.codes.popleft() for _ in range(min(size, len(stream.codes)))] for stream in streams]
        codes = np.zeros((len(streams), size, len(chunks[0][0])), np.int64)
        for row, chunk in zip(codes, chunks, strict=True):
            row[: len(chunk)] = chunk
        try:
            audio = self._codec.decode([stream.slot for stream in streams], codes)
        except Exception as error:
            self._fail_all(streams, error)
            return
        self._issued.append(_IssuedChunk(streams, [len(chunk) for chunk in chunks], audio))
        for stream in streams:
            stream.chunks += 1
            stream.decoding += 1

    def _collect_ready(self) -> None:
        while self._issued and self._issued[0].audio.is_ready:
            self._collect(self._issued.popleft())

    def _collect(self, issued: _IssuedChunk) -> None:
        try:
            audio = issued.audio.wait()
        except Exception as error:
            self._fail_all(issued.streams, error)
            return
        for stream, frames, samples in zip(issued.streams, issued.frames, audio, strict=True):
            stream.decoding -= 1
            if not stream.over:
                self._send(stream, samples[: frames * SAMPLES_PER_FRAME])

    def _send(self, stream: Stream, samples: NDArray[np.float32]) -> None:
        if not np.isfinite(samples).all():
            error = "NaN or infinite samples: the weights are broken, or DTYPE is too narrow"
            self._fail(stream, RuntimeError(error))
            return
        stream.sink.audio(samples)
        stream.decoded += len(samples) // SAMPLES_PER_FRAME
        if stream.first_audio is None:
            stream.first_audio = self._clock()
        if stream.runaway.add_audio(samples):
            stream.reason = "runaway"
            self._finish(stream)  # later frames are as silent, and are dropped

    def _fail_all(self, streams: Sequence[Stream], error: BaseException) -> None:
        for stream in streams:
            self._fail(stream, error)
