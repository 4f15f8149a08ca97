"""A client's recording as PCM, decoded while it is read, within limits that no header can talk away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from functools import cache
from typing import BinaryIO, Final

import av
import numpy as np
from av.codec.codec import Codec, UnknownCodecError
from numpy.typing import NDArray

from gateway.errors import BadRequest, PayloadTooLarge

Pcm = NDArray[np.float32]
"""Mono audio of shape [n], -1 to 1."""

_FORMATS: Final = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,eac3,flac,flv,matroska,mov,mp3,mpeg,mpegts,ogg,tta,w64,wav,wv"
)
"""Containers that hold their own sound. Playlists (hls, dash, concat...) would have FFmpeg open other files."""
_RATES: Final = range(4_000, 768_001)
"""Hz; a forged rate below would make a small frame swell on its way to the rate that is asked for."""
_FRAME_SECONDS: Final = 60
"""No codec puts more into one frame."""
_BYTES_PER_SECOND: Final = 192_000 * 2 * 4
"""Of decoded audio: stereo at 192 kHz in 32 bits. More, on the average, is no recording of speech."""


class Recording:
    """The first audio track of `file`, which must be seekable, as mono PCM at `rate` Hz.

    Reading it raises `BadRequest` for what is not audio and `PayloadTooLarge` for what is more than `max_seconds`, by
    the samples that come out of the decoder; `param` is the field that it came in. It is read in one thread at a time.
    """

    def __init__(
        self,
        file: BinaryIO,
        rate: int,
        max_seconds: float,
        param: str,
        *,
        look: Callable[[av.AudioFrame], None] = lambda frame: None,
    ) -> None:
        """`look` is shown every frame as the decoder gives it."""
        self._file = file
        self._rate = rate
        self._max_seconds = max_seconds
        self._param = param
        self._look = look
        self._stopped = threading.Event()
        self.samples = 0
        """Decoded so far, at `rate`."""

    @property
    def seconds(self) -> float:
        """Decoded so far."""
        return self.samples / self._rate

    def stop(self) -> None:
        """Have `blocks` end at the next one; called from another thread."""
        self._stopped.set()

    def blocks(self) -> Generator[Pcm]:
        """The PCM in blocks of a second, as the file has it: values may lie beyond -1 to 1, or be no numbers."""
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
        """The frames as float, mono, at our rate, a second each."""
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
        """The frames as the decoder gives them."""
        options = {"format_whitelist": _FORMATS, "codec_whitelist": _audio_decoders(), "protocol_whitelist": "none"}
        decoded = 0
        # Titles are not always in UTF-8, and nobody here reads them.
        with av.open(self._file, "r", container_options=options, metadata_errors="replace") as container:
            if not container.streams.audio:
                raise self._bad("it holds no audio track")
            for packet in container.demux(container.streams.audio[0]):
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    continue  # One damaged packet does not cost the whole recording.
                for frame in frames:
                    if frame.sample_rate not in _RATES or frame.samples > _FRAME_SECONDS * frame.sample_rate:
                        raise self._undecodable()
                    decoded += frame.samples * frame.layout.nb_channels * frame.format.bytes
                    if decoded > self._max_seconds * _BYTES_PER_SECOND:
                        raise self._too_long()
                    self._look(frame)
                    yield frame

    def _bad(self, problem: str) -> BadRequest:
        return BadRequest(f"{self._param}: {problem}", param=self._param)

    def _undecodable(self) -> BadRequest:
        return self._bad("it could not be decoded as audio; send flac, mp3, mp4, m4a, ogg, opus, wav or webm")

    def _too_long(self) -> PayloadTooLarge:
        problem = f"it decodes to more than {self._max_seconds:g} s of audio"
        return PayloadTooLarge(f"{self._param}: {problem}", param=self._param)


def cleaned(pcm: Pcm) -> Pcm:
    """Values that are no numbers become silence, the rest stays within -1 to 1."""
    return np.clip(np.nan_to_num(pcm, posinf=1.0, neginf=-1.0), -1.0, 1.0)


@cache
def _audio_decoders() -> str:
    """Every decoder of sound, so that pictures and subtitles in a file are not even opened."""
    names = []
    for name in sorted(av.codecs_available):
        try:
            if Codec(name, "r").type == "audio":
                names.append(name)
        except UnknownCodecError:  # There is only an encoder of that name.
            continue
    return ",".join(names)
