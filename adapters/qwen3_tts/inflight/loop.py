"""What the stepping thread does between two frames: streams leave and join, a frame is made, audio is decoded."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from adapters.qwen3_tts.inflight.codec import StreamingCodec
from adapters.qwen3_tts.inflight.frame import FrameStepper
from adapters.qwen3_tts.inflight.profiles import Profile
from adapters.qwen3_tts.inflight.scheduler import Scheduler
from adapters.qwen3_tts.inflight.stream import Stream
from adapters.qwen3_tts.stock import SAMPLES_PER_FRAME
from tritone.errors import Overloaded

_COMFORTABLE_SECONDS = 1.0
"""With so much audio left, a listener can wait..."""
_TOGETHER = 4
"""...for every fourth frame."""


class FrameLoop:
    """Moves all streams on by a frame at each `turn`. For one thread, which has the model to itself.

    What goes wrong with one stream ends that one; what goes wrong in a batch ends those in it, because nobody can say
    how far its state had come.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        stepper: FrameStepper,
        codec: StreamingCodec,
        profile: Profile,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.frames = 0
        """Frames made, of all streams together."""
        self.batches = 0
        """Batches in which they were made."""
        self._turns = 0
        self._scheduler = scheduler
        self._stepper = stepper
        self._codec = codec
        self._profile = profile
        self._clock = clock

    def turn(self) -> None:
        """One prefill at most, one frame of a batch of streams, and the chunks decoded that are complete."""
        self._turns += 1
        self._leave()
        self._join()
        self._step()
        self._decode()

    def fail(self, stream: Stream, error: BaseException) -> None:
        """End a stream with an error, and free what it holds."""
        stream.way.fail(error)
        self._free(stream)

    def _leave(self) -> None:
        for stream in self._scheduler.open():
            if stream.way.gone:
                self._free(stream)
        for stream in self._scheduler.late():
            self.fail(stream, Overloaded("no slot became free in time; try again in a second"))

    def _join(self) -> None:
        stream = self._scheduler.join()
        if stream is None:
            return
        assert stream.prepared is not None
        stream.way.start()
        try:
            self._codec.reset(stream.slot, stream.prepared.codec)
            self._stepper.prefill(stream.slot, stream.prepared.prompt, stream.prepared.sampling)
        except Exception as error:
            stream.way.fail(error)
            self._scheduler.remove(stream)  # the stepper holds nothing of it

    def _step(self) -> None:
        streams = self._scheduler.batch()
        if not streams:
            return
        try:
            frames = self._stepper.step(_slots(streams))
            codes, ended = frames.codes.cpu().numpy(), frames.ended.tolist()
        except Exception as error:
            self._fail_all(streams, error)
            return
        self.batches += 1
        for stream, row, is_end in zip(streams, codes, ended, strict=True):
            stream.tokens += 1
            if is_end:
                stream.reason = "stop"
            elif stream.tokens >= stream.limit:
                stream.reason = stream.cut
            else:
                self.frames += 1
                stream.codes.append(row)
                if stream.watch.repeats(int(row[0])):
                    stream.reason = "runaway"

    def _decode(self) -> None:
        """Decode the chunks that have come together, those of one size at once; whose listeners run dry go first.

        Streams joined at different frames, and so their chunks are never complete at the same one. Who has audio left
        waits a few frames for the others; who has little waits for nobody.
        """
        now = self._clock()
        together = self._turns % _TOGETHER == 0
        due: dict[int, list[Stream]] = defaultdict(list)
        for stream in sorted(self._scheduler.active(), key=lambda stream: stream.credit(now)):
            if size := self._due(stream):
                due[size].append(stream)
        for size, streams in due.items():
            if together or streams[0].credit(now)[0] < _COMFORTABLE_SECONDS:
                self._decode_together(streams, size)
        for stream in self._scheduler.active():
            if stream.reason and not stream.codes:
                tokens = stream.utterance.text_tokens
                stream.way.finish(stream.reason, text_tokens=tokens, audio_frames=stream.decoded)
                self._free(stream)

    def _due(self, stream: Stream) -> int:
        """The size of the stream's next chunk; 0: it has not come to one yet.

        The last chunk is filled up to a size of the profile: the codec is causal, so what comes after it changes
        nothing, and its state is not needed any more.
        """
        size, made = self._profile.size(stream.chunks), len(stream.codes)
        if made >= size:
            return size
        return self._profile.holding(made) if made and stream.reason else 0

    def _decode_together(self, streams: Sequence[Stream], size: int) -> None:
        chunks = [[stream.codes.popleft() for _ in range(min(size, len(stream.codes)))] for stream in streams]
        codes = np.zeros((len(streams), size, len(chunks[0][0])), np.int64)
        for row, chunk in zip(codes, chunks, strict=True):
            row[: len(chunk)] = chunk
        try:
            audio: NDArray[np.float32] = (
                self._codec.decode(_slots(streams), torch.from_numpy(codes)).float().cpu().numpy()
            )
        except Exception as error:
            self._fail_all(streams, error)
            return
        for stream, samples, chunk in zip(streams, audio, chunks, strict=True):
            self._speak(stream, samples[: len(chunk) * SAMPLES_PER_FRAME])

    def _speak(self, stream: Stream, samples: NDArray[np.float32]) -> None:
        if not np.isfinite(samples).all():
            self.fail(
                stream, RuntimeError("the model gave NaN or infinite samples: broken weights, or DTYPE too narrow")
            )
            return
        stream.way.audio(samples)
        stream.chunks += 1
        stream.decoded += len(samples) // SAMPLES_PER_FRAME
        if stream.first_audio is None:
            stream.first_audio = self._clock()
        if stream.reason is None and stream.watch.silent(samples):
            stream.reason = "runaway"

    def _fail_all(self, streams: Sequence[Stream], error: BaseException) -> None:
        for stream in streams:
            self.fail(stream, error)

    def _free(self, stream: Stream) -> None:
        if self._scheduler.remove(stream) and stream.slot >= 0:
            self._stepper.release(stream.slot)


def _slots(streams: Sequence[Stream]) -> list[int]:
    return [stream.slot for stream in streams]
