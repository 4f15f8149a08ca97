"""One step of the engine: streams that leave, streams that join, a prefix, and a column of codes for each."""

from __future__ import annotations

import time
from collections.abc import Callable

from adapters.inflight.scheduler import Scheduler
from adapters.inflight.stream_loop import StreamLoop
from adapters.triton.response_stream import FinishReason
from adapters.zonos.audio import AudioThread
from adapters.zonos.delay import DelayPattern
from adapters.zonos.stepper import ColumnStepper
from adapters.zonos.stream import Stream

_FIRST_PIECE, _LONGEST_PIECE = 12, 96
"""Frames of the first piece of audio, and of later ones: each is twice as long as the one before."""


class ColumnLoop(StreamLoop[Stream]):
    """Advances all streams by one column per `step`. For one thread, which alone uses the backbone.

    An error of one stream ends it. An error of a batch ends all streams in it, because the state of each is unknown.
    """

    def __init__(
        self,
        scheduler: Scheduler[Stream],
        stepper: ColumnStepper,
        audio: AudioThread,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(scheduler, clock)
        self._stepper = stepper
        self._audio = audio

    def step(self) -> None:
        """Evict and admit streams, read a prefix, and draw a column for each stream whose prefix is read."""
        self._evict()
        self._admit()
        self._prefill()
        if running := self._scheduler.decodable_streams():
            try:
                patterns = self._stepper.step([stream.slot for stream in running])
            except Exception as error:
                for stream in running:
                    self.fail(stream, error)
                return
            self._count_batch(len(running))
            for stream in running:
                self._take(stream, patterns[stream.slot])

    def _admit(self) -> None:
        while stream := self._scheduler.admit_next():
            assert stream.parts
            stream.sink.start()
            self._stepper.open(stream.slot, stream.parts[0].prompt)

    def _prefill(self) -> None:
        """Read the prefix of the stream that has waited longest: one a step, so that it delays the others little."""
        waiting = [stream for stream in self._scheduler.active_streams() if not stream.prefilled]
        for stream in waiting[:1]:
            try:
                self._stepper.prefill(stream.slot)
                stream.prefilled = True
            except Exception as error:
                self.fail(stream, error)

    def _take(self, stream: Stream, pattern: DelayPattern) -> None:
        assert stream.parts
        part, options = stream.parts[0], stream.request.options
        most = part.max_frames
        reason: FinishReason = part.limit_reason
        if options.max_new_tokens is not None and options.max_new_tokens - stream.frames <= most:
            most, reason = options.max_new_tokens - stream.frames, "length"
        frames = min(pattern.frames, most)
        ended = pattern.is_over or frames >= most
        piece = min(_LONGEST_PIECE, _FIRST_PIECE << min(stream.pieces, 8))
        if ended or frames - stream.sent >= piece:
            codes = pattern.codes(stream.sent, frames)
            stream.codes.extend(codes)
            stream.sent = frames
            stream.pieces += 1
            self._audio.decode(stream, codes, last=ended)
        if ended:
            self._end_part(stream, "stop" if pattern.is_over else reason)

    def _end_part(self, stream: Stream, reason: FinishReason) -> None:
        """Go on with the next part in the same slot, or end the stream."""
        assert stream.parts
        stream.frames += stream.sent
        stream.parts.popleft()
        if reason != "stop" or not stream.parts:
            self._audio.finish(stream, reason)
            self._free(stream)
            return
        self._stepper.release(stream.slot)
        self._stepper.open(stream.slot, stream.parts[0].prompt)
        stream.sent, stream.prefilled = 0, False

    def _release(self, stream: Stream) -> None:
        self._stepper.release(stream.slot)
