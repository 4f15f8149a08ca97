"""From codes to a listener's ear: chunks are decoded together, and leave in order when the device has them."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adapters.qwen3_tts.inflight.codec import StreamingCodec
from adapters.qwen3_tts.inflight.profiles import Profile
from adapters.qwen3_tts.inflight.stream import Stream
from adapters.qwen3_tts.inflight.transfer import Transfer
from adapters.qwen3_tts.stock import SAMPLES_PER_FRAME

_COMFORTABLE_SECONDS = 1.0
"""With so much audio left, a listener can wait..."""
_TOGETHER = 4
"""...for every fourth frame."""
_GLANCE_SECONDS = 2e-4
"""Between two looks at what is on its way: short beside a frame, long beside a look."""


class _Issued(NamedTuple):
    """A chunk of each of some streams that the device has been told to decode."""

    streams: Sequence[Stream]
    frames: Sequence[int]
    """Of each stream; the chunk may be longer."""
    audio: Transfer
    """(n, samples) float32."""


class Decoding:
    """Decodes what streams have come to, for the thread that steps them; it never waits while there is a frame to make.

    Streams joined at different frames, and so their chunks are never complete at the same one. Who has audio left waits
    a few frames for the others; who has little waits for nobody.
    """

    def __init__(
        self,
        codec: StreamingCodec,
        profile: Profile,
        clock: Callable[[], float],
        *,
        finish: Callable[[Stream], None],
        fail: Callable[[Stream, BaseException], None],
    ) -> None:
        """`finish` and `fail` end a stream, once each."""
        self._codec = codec
        self._profile = profile
        self._clock = clock
        self._finish = finish
        self._fail = fail
        self._turns = 0
        self._issued: deque[_Issued] = deque()

    def turn(self, streams: Sequence[Stream], *, idle: bool) -> None:
        """Decode the chunks that `streams` have come to, send what has arrived, and end who has been heard to the end.

        `idle`: nothing else is to be done, so what is on its way is waited for.
        """
        self._turns += 1
        self._decode(streams, together=idle or self._turns % _TOGETHER == 0)
        while self._issued and (idle or self._issued[0].audio.arrived):
            self._hear(self._issued.popleft())
            idle = False
        for stream in streams:
            if stream.reason and not stream.codes and not stream.decoding and not stream.over:
                self._finish(stream)

    def hear_until(self, frame: Transfer) -> None:
        """Send what arrives before `frame` does: who waits for a first sound need not wait for that, too."""
        while self._issued and not frame.arrived:
            if self._issued[0].audio.arrived:
                self._hear(self._issued.popleft())
            else:
                time.sleep(_GLANCE_SECONDS)

    def _decode(self, streams: Sequence[Stream], *, together: bool) -> None:
        """The chunks of one size at once; whose listeners run dry go first."""
        now = self._clock()
        due: dict[int, list[Stream]] = defaultdict(list)
        for stream in sorted(streams, key=lambda stream: stream.credit(now)):
            if not stream.over and (size := self._due(stream)):
                due[size].append(stream)
        for size, company in due.items():
            if together or company[0].credit(now)[0] < _COMFORTABLE_SECONDS:
                self._decode_together(company, size)

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
            audio = self._codec.speak([stream.slot for stream in streams], codes)
        except Exception as error:
            self._fail_all(streams, error)
            return
        self._issued.append(_Issued(streams, [len(chunk) for chunk in chunks], audio))
        for stream in streams:
            stream.chunks += 1
            stream.decoding += 1

    def _hear(self, issued: _Issued) -> None:
        try:
            audio = issued.audio.wait()
        except Exception as error:
            self._fail_all(issued.streams, error)
            return
        for stream, frames, samples in zip(issued.streams, issued.frames, audio, strict=True):
            stream.decoding -= 1
            if not stream.over:
                self._speak(stream, samples[: frames * SAMPLES_PER_FRAME])

    def _speak(self, stream: Stream, samples: NDArray[np.float32]) -> None:
        if not np.isfinite(samples).all():
            error = "the model gave NaN or infinite samples: broken weights, or DTYPE too narrow"
            self._fail(stream, RuntimeError(error))
            return
        stream.way.audio(samples)
        stream.decoded += len(samples) // SAMPLES_PER_FRAME
        if stream.first_audio is None:
            stream.first_audio = self._clock()
        if stream.watch.silent(samples):
            stream.reason = "runaway"
            self._finish(stream)  # what has been made beyond is as silent, and is not heard

    def _fail_all(self, streams: Sequence[Stream], error: BaseException) -> None:
        for stream in streams:
            self._fail(stream, error)
