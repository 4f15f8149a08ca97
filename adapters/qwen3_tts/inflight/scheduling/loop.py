"""A step of the stepping thread: evict and admit streams, prefill, make a frame, decode audio."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from adapters.inflight.chunked_prefill import plan_prefill
from adapters.inflight.stream_loop import StreamLoop
from adapters.qwen3_tts.inflight.codec.streaming import StreamingCodec
from adapters.qwen3_tts.inflight.device.async_copy import AsyncCopy
from adapters.qwen3_tts.inflight.model.stepper import FrameStepper
from adapters.qwen3_tts.inflight.scheduling.audio_decoder import AudioDecoder
from adapters.qwen3_tts.inflight.scheduling.chunk_schedule import ChunkSchedule
from adapters.qwen3_tts.inflight.scheduling.scheduler import Scheduler
from adapters.qwen3_tts.inflight.scheduling.stream import Stream


class _IssuedFrame(NamedTuple):
    """A frame that is queued on the device."""

    streams: Sequence[Stream]
    codes: AsyncCopy
    """(n, 16) int64."""
    ended: AsyncCopy
    """(n,) bool."""


class FrameLoop(StreamLoop[Stream]):
    """Advances all streams by one frame per `step`. For one thread, which alone uses the model.

    On a GPU the host stays `pipeline_depth` frames behind: it issues the next frame, and reads the codes of an earlier
    one while the device works. It counts issued frames, so that no stream exceeds its limit. A frame that was issued
    for a stream that has ended by then is dropped.

    An error of one stream ends that stream. An error of a batch ends all streams in it, because the state of each is
    unknown.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        stepper: FrameStepper,
        codec: StreamingCodec,
        chunk_schedule: ChunkSchedule,
        *,
        prefill_tokens: int,
        pipeline_depth: int = 0,
        clock: Callable[[], float] = time.monotonic,
        copy_to_host: Callable[[Tensor], AsyncCopy] = AsyncCopy,
    ) -> None:
        """`prefill_tokens`: prompt tokens to prefill between two frames."""
        self.frames = 0
        """Frames of all streams so far."""
        super().__init__(scheduler, clock)
        self._stepper = stepper
        self._codec = codec
        self._audio = AudioDecoder(codec, chunk_schedule, clock, finish=self._finish, fail=self.fail)
        self._prefill_tokens = prefill_tokens
        self._pipeline_depth = pipeline_depth
        self._copy_to_host = copy_to_host
        self._issued: deque[_IssuedFrame] = deque()

    def step(self) -> None:
        """Evict and admit streams, prefill a chunk of the prompts, issue a frame, and decode the complete chunks."""
        self._evict()
        self._admit()
        prefilled = self._prefill()
        issued = self._decode()
        self._collect(self._pipeline_depth if issued else 0)
        self._audio.step(self._scheduler.active_streams(), idle=not (prefilled or issued))

    def _finish(self, stream: Stream) -> None:
        """End a stream after its last audio."""
        assert stream.reason
        tokens = stream.request.text_tokens
        stream.sink.finish(stream.reason, text_tokens=tokens, audio_frames=stream.decoded)
        self._free(stream)

    def _admit(self) -> None:
        while stream := self._scheduler.admit_next():
            assert stream.prepared is not None
            stream.sink.start()
            try:
                self._codec.reset(stream.slot, stream.prepared.codec)
                self._stepper.open(stream.slot, stream.prepared.prompt, stream.prepared.sampling)
            except Exception as error:
                self.faults += 1
                stream.sink.fail(error)
                self._scheduler.remove(stream)  # the stepper holds nothing of it
            else:
                stream.unprefilled = self._stepper.unprefilled(stream.slot)

    def _prefill(self) -> bool:
        streams = self._scheduler.active_streams()
        unprefilled = [(stream, stream.unprefilled) for stream in streams if stream.unprefilled]
        alone = not any(stream.can_decode for stream in streams)
        planned = plan_prefill(unprefilled, self._prefill_tokens, alone=alone)
        if planned:
            try:
                self._stepper.prefill({stream.slot: tokens for stream, tokens in planned.items()})
            except Exception as error:
                self._fail_all([*planned], error)
            for stream, tokens in planned.items():
                stream.unprefilled -= tokens
        return bool(planned)

    def _decode(self) -> bool:
        """Issue a frame of all streams that can decode."""
        streams = self._scheduler.decodable_streams()
        if streams:
            try:
                frames = self._stepper.step([stream.slot for stream in streams])
                codes, ended = self._copy_to_host(frames.codes), self._copy_to_host(frames.ended)
                self._issued.append(_IssuedFrame(streams, codes, ended))
            except Exception as error:
                self._fail_all(streams, error)
            for stream in streams:
                stream.issued += 1
        return bool(streams)

    def _collect(self, pipeline_depth: int) -> None:
        """Read the issued frames except the last `pipeline_depth`."""
        while len(self._issued) > pipeline_depth:
            issued = self._issued.popleft()
            self._audio.send_until(issued.ended)
            try:
                codes, ended = issued.codes.wait(), issued.ended.wait()
            except Exception as error:
                self._fail_all(issued.streams, error)
                continue
            self._count_batch(len(issued.streams))
            for stream, row, is_end in zip(issued.streams, codes, ended, strict=True):
                if not stream.over and stream.reason is None:
                    self._take(stream, row, is_end=bool(is_end))

    def _take(self, stream: Stream, codes: NDArray[np.int64], *, is_end: bool) -> None:
        stream.tokens += 1
        if is_end:
            stream.reason = "stop"
        elif stream.tokens >= stream.limit:
            stream.reason = stream.limit_reason
        else:
            self.frames += 1
            stream.codes.append(codes)
            if stream.runaway.add_code(int(codes[0])):
                stream.reason = "runaway"

    def _fail_all(self, streams: Sequence[Stream], error: BaseException) -> None:
        for stream in streams:
            self.fail(stream, error)

    def _release(self, stream: Stream) -> None:
        self._stepper.release(stream.slot)
