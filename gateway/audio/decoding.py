"""Decode uploaded audio to PCM while it is read, within limits that a forged header cannot lift."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from functools import cache
from typing import BinaryIO, Final

import av
import numpy as np
from av.codec.codec import Codec, UnknownCodecError
from av.container import InputContainer

from gateway.audio.file_parts import FilePart, parts_from, starts
from gateway.audio.frames import Pcm, samples_of
from gateway.audio.limiter import Limiter
from gateway.audio.mixdown import Mixdown
from gateway.audio.wav import plain_frames
from gateway.core.errors import PayloadTooLarge
from tritone.errors import InvalidInput

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
_PROBED_PACKETS: Final = 4
"""Packets, of 4 KB in a WAV file, in which FFmpeg looks for another codec than the header names, such as AC-3 or DTS.

It would decode the whole file for that, at first sight of it, which takes as long as all other decoding.
"""
_FULL_SCALE: Final = np.float32(2**15)
"""Of samples of 16 bits."""
_MOST_FRUITLESS: Final = 16
"""Parts of a file in a row without audio, after which the rest is not tried; a chained file may have a million."""


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
        self._decoded = 0
        """Bytes of decoded frames."""
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
        """Yield the PCM in blocks of about a second, all values within -1 to 1; louder parts get a lower level."""
        limiter = Limiter(self._rate)
        with closing(self.blocks()) as blocks:
            for block in blocks:
                finite = np.isfinite(block).all()
                yield limiter.write(block if finite else np.nan_to_num(block, posinf=1.0, neginf=-1.0))
        yield limiter.finish()

    def blocks(self) -> Generator[Pcm]:
        """Yield the PCM in blocks of about a second, as it is in the file: values may be beyond -1 to 1.

        In a mono file they may be infinite or NaN, too.
        """
        try:
            for block in self._mono():
                if self._stopped.is_set():
                    return
                self.samples += len(block)
                if self.seconds > self._max_seconds:
                    raise self._too_long()
                yield block
        except av.FFmpegError as error:
            raise self._undecodable() from error
        if not self.samples:
            raise self._undecodable()

    def _mono(self) -> Iterator[Pcm]:
        """Yield blocks of about a second: float, mono, at `rate`."""
        found = None
        channels: _Channels | None = None
        for frame in self._frames():
            form = (frame.format.name, frame.layout.name, frame.sample_rate)
            if channels is None or form != found:
                # Rate and channels may change within a file.
                if channels is not None:
                    yield from channels.finish()
                channels, found = _Channels(frame, self._rate), form
            yield from channels.write(frame)
        if channels is not None:
            yield from channels.finish()

    def _frames(self) -> Iterator[av.AudioFrame]:
        """Yield the frames as they are decoded, from each part of the file with audio."""
        for start in starts(self._file):
            fruitless = 0
            for part in parts_from(self._file, start):
                before = self._decoded
                # Junk behind the audio is no error; that nothing could be decoded is one, in the end.
                with suppress(av.FFmpegError):
                    yield from self._frames_of(part)
                fruitless = 0 if self._decoded > before else fruitless + 1
                if fruitless == _MOST_FRUITLESS or self._stopped.is_set():
                    break
            if self._decoded:
                return

    def _frames_of(self, part: FilePart) -> Iterator[av.AudioFrame]:
        """Yield the frames of one container."""
        for frame in plain_frames(part, _RATES) or self._demuxed(part):
            if frame.sample_rate not in _RATES or frame.samples > _FRAME_SECONDS * frame.sample_rate:
                raise self._undecodable()
            self._decoded += frame.samples * frame.layout.nb_channels * frame.format.bytes
            if self._decoded > self._max_seconds * _BYTES_PER_SECOND:
                raise self._too_long()
            self._on_frame(frame)
            yield frame

    def _demuxed(self, part: FilePart) -> Iterator[av.AudioFrame]:
        """Yield the frames of a container that FFmpeg reads."""
        part.seek(0)
        with _opened(part) as container:
            if not container.streams.audio:
                raise InvalidInput(self._field, "it holds no audio track")
            for packet in container.demux(container.streams.audio[0]):
                # One damaged packet does not make the rest unusable.
                with suppress(av.FFmpegError):
                    yield from packet.decode()

    def _undecodable(self) -> InvalidInput:
        problem = "it could not be decoded as audio; send flac, mp3, mp4, m4a, ogg, opus, wav or webm"
        return InvalidInput(self._field, problem)

    def _too_long(self) -> PayloadTooLarge:
        return PayloadTooLarge(self._field, f"it decodes to more than {self._max_seconds:g} s of audio")


def declared_seconds(file: BinaryIO) -> float | None:
    """Return the length that the header of a recording states, which may be wrong; None if it states none."""
    try:
        with _opened(file) as container:
            return container.duration / av.time_base if container.duration else None
    except av.FFmpegError:
        return None


def _opened(file: BinaryIO | FilePart) -> InputContainer:
    options = {
        "format_whitelist": _FORMATS,
        "codec_whitelist": _audio_decoders(),
        "protocol_whitelist": "none",
        "max_probe_packets": str(_PROBED_PACKETS),
    }
    # Titles are not always in UTF-8; they are not used.
    return av.open(file, "r", container_options=options, metadata_errors="replace")


class _Channels:
    """Frames of one form, converted to mono at `rate`."""

    def __init__(self, first: av.AudioFrame, rate: int) -> None:
        self._count = first.layout.nb_channels
        form = (first.format.name, first.layout.name, first.sample_rate, first.samples)
        self._are_blocks = form == ("s16", "mono", rate, rate)
        """Whether the frames are blocks but for the type of the samples, as those of most WAV files are."""
        # Packed: PyAV reads only seven channels of a planar frame.
        self._resampler = av.AudioResampler("flt", first.layout, rate, frame_size=rate)
        self._mixdown = Mixdown(self._count, rate) if self._count > 1 else None

    def write(self, frame: av.AudioFrame) -> Iterator[Pcm]:
        """Yield the blocks that are complete with `frame`."""
        if self._are_blocks:
            yield samples_of(frame).astype(np.float32) / _FULL_SCALE
            return
        frame.pts = None
        yield from self._mixed(self._resampler.resample(frame))

    def finish(self) -> Iterator[Pcm]:
        """Yield the rest."""
        yield from self._mixed(self._resampler.resample(None))
        if self._mixdown:
            yield self._mixdown.finish()

    def _mixed(self, frames: Iterable[av.AudioFrame]) -> Iterator[Pcm]:
        for frame in frames:
            samples = frame.to_ndarray().reshape(-1, self._count).astype(np.float32, copy=False)
            yield self._mixdown.write(samples) if self._mixdown else samples[:, 0]


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
