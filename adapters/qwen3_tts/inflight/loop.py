"""What the stepping thread does between two frames: streams leave and join, a frame is made, audio is decoded."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adapters.qwen3_tts.inflight.codec import StreamingCodec
from adapters.qwen3_tts.inflight.decoding import Decoding
from adapters.qwen3_tts.inflight.frame import FrameStepper
from adapters.qwen3_tts.inflight.portions import portions
from adapters.qwen3_tts.inflight.profiles import Profile
from adapters.qwen3_tts.inflight.scheduler import Scheduler
from adapters.qwen3_tts.inflight.stream import FRAME_SECONDS, Stream
from adapters.qwen3_tts.inflight.transfer import Transfer
from tritone.errors import DeadlinePassed, Overloaded, TritoneError


class _Issued(NamedTuple):
    """A frame that the device has been told to make."""

    streams: Sequence[Stream]
    codes: Transfer
    """(n, 16) int64."""
    ended: Transfer
    """(n,) bool."""


class FrameLoop:
    """Moves all streams on by a frame at each `turn`. For one thread, which has the model to itself.

    Where the device works on its own, the host stays `behind`: it issues the next frame, and reads the codes of an
    earlier one meanwhile. It counts what it has issued, so that no stream goes beyond its limit; what was issued of a
    stream that has ended by then is passed over.

    What goes wrong with one stream ends that one; what goes wrong in a batch ends those in it, because nobody can say
    how far its state had come.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        stepper: FrameStepper,
        codec: StreamingCodec,
        profile: Profile,
        *,
        prefill_tokens: int,
        behind: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`prefill_tokens`: how much of prompts is read between two frames. `behind`: by how many frames."""
        self.frames = 0
        """Frames made, of all streams together."""
        self.batches = 0
        """Batches in which they were made."""
        self.faults = 0
        """Streams that ended by no caller's fault, and for no want of room or time."""
        self._scheduler = scheduler
        self._stepper = stepper
        self._codec = codec
        self._decoding = Decoding(codec, profile, clock, finish=self._finish, fail=self.fail)
        self._prefill_tokens = prefill_tokens
        self._behind = behind
        self._clock = clock
        self._issued: deque[_Issued] = deque()

    def turn(self) -> None:
        """A portion of the prompts, one frame of a batch of streams, and the chunks decoded that are complete."""
        self._leave()
        self._join()
        reads = self._read()
        steps = self._step()
        self._collect(self._behind if steps else 0)
        self._decoding.turn(self._scheduler.active(), idle=not (reads or steps))

    def fail(self, stream: Stream, error: BaseException) -> None:
        """End a stream with an error, and free what it holds; one that is over stays as it is."""
        if not stream.over:
            self.faults += not isinstance(error, TritoneError)
            stream.way.fail(error)
            self._free(stream)

    def _finish(self, stream: Stream) -> None:
        """End a stream of which all has been heard that will be."""
        assert stream.reason
        tokens = stream.utterance.text_tokens
        stream.way.finish(stream.reason, text_tokens=tokens, audio_frames=stream.decoded)
        self._free(stream)

    def _leave(self) -> None:
        now = self._clock()
        for stream in self._scheduler.open():
            if stream.way.gone:
                self._free(stream)
            elif stream.slot < 0 and now >= stream.patience:
                self.fail(stream, Overloaded("no slot became free in time", self._scheduler.retry_after()))
            elif now >= stream.deadline:
                spoken = stream.decoded * FRAME_SECONDS
                self.fail(stream, DeadlinePassed(f"the request's timeout has passed; {spoken:.2f} s were spoken"))

    def _join(self) -> None:
        while stream := self._scheduler.join():
            assert stream.prepared is not None
            stream.way.start()
            try:
                self._codec.reset(stream.slot, stream.prepared.codec)
                self._stepper.open(stream.slot, stream.prepared.prompt, stream.prepared.sampling)
            except Exception as error:
                self.faults += 1
                stream.way.fail(error)
                self._scheduler.remove(stream)  # the stepper holds nothing of it
            else:
                stream.unread = self._stepper.unread(stream.slot)

    def _read(self) -> bool:
        streams = self._scheduler.active()
        unread = [(stream, stream.unread) for stream in streams if stream.unread]
        taken = portions(unread, self._prefill_tokens, alone=not any(stream.speaks for stream in streams))
        if taken:
            try:
                self._stepper.read({stream.slot: tokens for stream, tokens in taken.items()})
            except Exception as error:
                self._fail_all([*taken], error)
            for stream, tokens in taken.items():
                stream.unread -= tokens
        return bool(taken)

    def _step(self) -> bool:
        streams = self._scheduler.batch()
        if streams:
            try:
                frames = self._stepper.step([stream.slot for stream in streams])
                self._issued.append(_Issued(streams, Transfer(frames.codes), Transfer(frames.ended)))
            except Exception as error:
                self._fail_all(streams, error)
            for stream in streams:
                stream.issued += 1
        return bool(streams)

    def _collect(self, behind: int) -> None:
        """Read what has been made, but for the last `behind` frames."""
        while len(self._issued) > behind:
            issued = self._issued.popleft()
            self._decoding.hear_until(issued.ended)
            try:
                codes, ended = issued.codes.wait(), issued.ended.wait()
            except Exception as error:
                self._fail_all(issued.streams, error)
                continue
            self.batches += 1
            for stream, row, is_end in zip(issued.streams, codes, ended, strict=True):
                if not stream.over and stream.reason is None:
                    self._take(stream, row, is_end=bool(is_end))

    def _take(self, stream: Stream, codes: NDArray[np.int64], *, is_end: bool) -> None:
        stream.tokens += 1
        if is_end:
            stream.reason = "stop"
        elif stream.tokens >= stream.limit:
            stream.reason = stream.cut
        else:
            self.frames += 1
            stream.codes.append(codes)
            if stream.watch.repeats(int(codes[0])):
                stream.reason = "runaway"

    def _fail_all(self, streams: Sequence[Stream], error: BaseException) -> None:
        for stream in streams:
            self.fail(stream, error)

    def _free(self, stream: Stream) -> None:
        if self._scheduler.remove(stream) and stream.slot >= 0:
            self._stepper.release(stream.slot)
