"""Decode uploaded audio to PCM while it is read, within limits that a forged header cannot lift."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import cache
from typing import BinaryIO, Final

import av
import numpy as np
from av.codec.codec import Codec, UnknownCodecError
from numpy.typing import NDArray

from gateway.core.errors import PayloadTooLarge
from tritone.errors import InvalidInput

Pcm = NDArray[np.float32]
"""Mono audio of shape [n], -1 to 1."""

_FORMATS: Final = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,eac3,flac,flv,matroska,mov,mp3,mpeg,mpegts,ogg,tta,w64,wav,wv"
)
"""Containers that hold their own audio. A playlist (hls, dash, concat...) would make FFmpeg open other files."""
_RATES: Final = range(4_000, 768_001)
"""Hz; with a forged lower rate, resampling would enlarge a small frame without limit."""
_FRAME_SECONDS: Final = 60
"""The longest frame of any codec."""
_BYTES_PER_SECOND: Final = 192_000 * 2 * 4
"""The most decoded bytes a second, on average: stereo at 192 kHz in 32 bits."""


class AudioFile:
    """The first audio track of a file, as mono PCM. Only one thread at a time may read it."""

    def __init__(
        self,
        file: BinaryIO,
        rate: int,
        max_seconds: float,
        field: str,
        *,
        on_frame: Callable[[av.AudioFrame], None] = lambda frame: None,
    ) -> None:
        """`file` must be seekable, `rate` is that of the PCM in Hz; `on_frame` gets every frame as it is decoded.

        Reading raises `InvalidInput` for content that is not audio, and `PayloadTooLarge` for more than `max_seconds`
        of decoded samples; both name `field`.
        """
        self._file = file
        self._rate = rate
        self._max_seconds = max_seconds
        self._field = field
        self._on_frame = on_frame
        self._stopped = threading.Event()
        self.samples = 0
        """Samples decoded so far, at `rate`."""

    @property
    def seconds(self) -> float:
        """Seconds decoded so far."""
        return self.samples / self._rate

    def stop(self) -> None:
        """End `blocks` at the next block; for calls from another thread."""
        self._stopped.set()

    def clean_blocks(self) -> Generator[Pcm]:
        """Yield the PCM in blocks of a second, all values within -1 to 1."""
        with closing(self.blocks()) as blocks:
            for block in blocks:
                yield cleaned(block)

    def blocks(self) -> Generator[Pcm]:
        """Yield the PCM in blocks of a second, as it is in the file: values may be beyond -1 to 1, infinite or NaN."""
        try:
            for frame in self._mono():
                if self._stopped.is_set():
                    return
                self.samples += frame.samples
                if self.seconds > self._max_seconds:
                    raise self._too_long()
                yield frame.to_ndarray()[0]
        except av.FFmpegError as error:
            raise self._undecodable() from error
        if not self.samples:
            raise self._undecodable()

    def _mono(self) -> Iterator[av.AudioFrame]:
        """Yield frames of a second each, converted to float, mono, at `rate`."""
        resampler, layout = None, None
        for frame in self._frames():
            found = (frame.format.name, frame.layout.name, frame.sample_rate)
            if resampler is None or found != layout:
                # Rate and channels may change within a file.
                if resampler is not None:
                    yield from resampler.resample(None)
                resampler, layout = av.AudioResampler("flt", "mono", self._rate, self._rate), found
            frame.pts = None
            yield from resampler.resample(frame)
        if resampler is not None:
            yield from resampler.resample(None)

    def _frames(self) -> Iterator[av.AudioFrame]:
        """Yield the frames as they are decoded."""
        options = {"format_whitelist": _FORMATS, "codec_whitelist": _audio_decoders(), "protocol_whitelist": "none"}
        decoded = 0
        # Titles are not always in UTF-8; they are not used.
        with av.open(self._file, "r", container_options=options, metadata_errors="replace") as container:
            if not container.streams.audio:
                raise InvalidInput(self._field, "it holds no audio track")
            for packet in container.demux(container.streams.audio[0]):
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    continue  # one damaged packet does not make the rest unusable
                for frame in frames:
                    if frame.sample_rate not in _RATES or frame.samples > _FRAME_SECONDS * frame.sample_rate:
                        raise self._undecodable()
                    decoded += frame.samples * frame.layout.nb_channels * frame.format.bytes
                    if decoded > self._max_seconds * _BYTES_PER_SECOND:
                        raise self._too_long()
                    self._on_frame(frame)
                    yield frame

    def _undecodable(self) -> InvalidInput:
        problem = "it could not be decoded as audio; send flac, mp3, mp4, m4a, ogg, opus, wav or webm"
        return InvalidInput(self._field, problem)

    def _too_long(self) -> PayloadTooLarge:
        return PayloadTooLarge(self._field, f"it decodes to more than {self._max_seconds:g} s of audio")


def cleaned(pcm: Pcm) -> Pcm:
    """Return `pcm` clipped to -1 to 1, with silence in place of NaN."""
    return np.clip(np.nan_to_num(pcm, posinf=1.0, neginf=-1.0), -1.0, 1.0)


@cache
def _audio_decoders() -> str:
    """Return the names of all audio decoders, so that pictures and subtitles in a file are not even opened."""
    names = []
    for name in sorted(av.codecs_available):
        try:
            if Codec(name, "r").type == "audio":
                names.append(name)
        except UnknownCodecError:  # this name has only an encoder
            continue
    return ",".join(names)
