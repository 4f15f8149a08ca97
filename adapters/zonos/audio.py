"""The thread that turns codes into audio, beside the one that draws them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from weakref import WeakKeyDictionary

import torch

from adapters.inflight.cuda_streams import use_own_stream
from adapters.triton.response_stream import FinishReason
from adapters.triton.samples import check_finite
from adapters.zonos.codec import Codec, PieceDecoder
from adapters.zonos.stream import Stream


class AudioThread:
    """Decodes the pieces of all streams in the order of their calls, and sends their audio."""

    def __init__(self, codec: Codec, device: torch.device) -> None:
        self._codec = codec
        self._decoders: WeakKeyDictionary[Stream, PieceDecoder] = WeakKeyDictionary()
        """The decoders of the parts that are not complete, for the thread alone. It keeps no stream that is evicted."""
        self._executor = ThreadPoolExecutor(1, "zonos-audio", use_own_stream, (device,))

    def decode(self, stream: Stream, codes: Sequence[Sequence[int]], *, last: bool) -> None:
        """Decode some more codes (n, codebooks) of the stream's current part; `last`: they are its end."""
        self._call(partial(self._decode, stream, codes, last=last))

    def finish(self, stream: Stream, reason: FinishReason) -> None:
        """End a stream after its last audio."""
        tokens, frames = stream.text_tokens, stream.frames
        self._call(partial(stream.sink.finish, reason, text_tokens=tokens, audio_frames=frames))

    def close(self) -> None:
        """Do what was called for, then stop."""
        self._executor.shutdown()

    def _call(self, work: partial[None]) -> None:
        with suppress(RuntimeError):  # the executor was shut down; the stream is then ended with all others
            self._executor.submit(work)

    def _decode(self, stream: Stream, codes: Sequence[Sequence[int]], *, last: bool) -> None:
        if stream.sink.closed:
            self._decoders.pop(stream, None)
            return
        try:
            decoder = self._decoders.setdefault(stream, PieceDecoder(self._codec))
            if last:
                self._decoders.pop(stream)
            with torch.inference_mode():
                samples = decoder.decode(codes, last=last)
            check_finite(samples)
            if len(samples):
                stream.sink.audio(samples, self._codec.rate)
        except Exception as error:
            self._decoders.pop(stream, None)
            stream.sink.fail(error)
