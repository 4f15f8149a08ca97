"""Encode speech to the six formats of OpenAI's API: as a stream, or as a file with its length in the header."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import av

from gateway.audio.formats import AudioFormat
from gateway.audio.frames import Samples, frame, samples_of
from tritone.contract import SPEECH_RATE


@dataclass(frozen=True)
class Codec:
    """The encoder and the container of a format, by PyAV's names, with their options."""

    encoder: str
    container: str
    bit_rate: int | None = None
    rate: int | None = None
    """The rate of the encoded audio, in Hz; None: the model's own."""
    delay: int = 0
    """Samples that a decoder gives before the first one, as the stream has no place to say that they are none."""
    whole_has_delay: bool = False
    """Whether a whole file has no place for it either."""
    options: Mapping[str, str] = field(default_factory=dict)


CODECS: Mapping[AudioFormat, Codec] = {
    "mp3": Codec("libmp3lame", "mp3", bit_rate=96_000, delay=1105, options={"id3v2_version": "0"}),
    # Pages of 100 ms instead of a second. Opus supports five rates, 24 kHz among them.
    "opus": Codec("libopus", "ogg", bit_rate=48_000, rate=SPEECH_RATE, options={"page_duration": "100000"}),
    "aac": Codec("aac", "adts", bit_rate=64_000, delay=1024, whole_has_delay=True),
    # In a stream the header's length stays "unknown", which the format allows; only libsndfile cannot read it.
    "flac": Codec("flac", "flac"),
    # For whole files; `WavEncoder` makes streams. Bit-exact: without the encoder's name.
    "wav": Codec("pcm_s16le", "wav", options={"fflags": "+bitexact"}),
}

_UNKNOWN = 0xFFFFFFFF
"""The sizes in a WAV header that is sent before the length is known, as FFmpeg writes them to a pipe.

Readers return the audio that they find before the end; strict ones take only this value for "unknown", and a larger
size than the file's for a cut file. With 0, `wave` rejects the file and soundfile reads nothing.
"""


class Encoder(Protocol):
    """Encodes int16 mono samples; `write` returns the bytes that are ready, `finish`, called once, the rest."""

    costly: bool
    """True if a second of audio takes more than a tenth of a millisecond: call it in a thread then."""

    def write(self, samples: Samples) -> bytes:
        """Encode `samples`; may return no bytes yet."""

    def finish(self) -> bytes:
        """Return the remaining bytes."""


def encoder(audio_format: AudioFormat, rate: int, *, whole: bool = False, sample_rate: int | None = None) -> Encoder:
    """Return an encoder for speech at `rate` Hz to a file of `sample_rate` Hz; None: its own, for `pcm` 24 kHz.

    A `whole` file has its length in its header if the format has a place for it; no bytes are ready before `finish`.
    """
    if audio_format == "pcm":
        return PcmEncoder(rate, sample_rate or SPEECH_RATE)
    if audio_format == "wav" and not whole:
        return WavEncoder(rate, sample_rate or rate)
    return AvEncoder(CODECS[audio_format], rate, _File() if whole else _Sink(), sample_rate)


def decoder_delay(
    audio_format: AudioFormat, rate: int, *, whole: bool = False, sample_rate: int | None = None
) -> float:
    """Return the seconds of silence that a decoder of what `encoder` makes gives before the first sample."""
    if audio_format == "pcm":
        return 0.0
    codec = CODECS[audio_format]
    return codec.delay / (sample_rate or codec.rate or rate) if codec.whole_has_delay or not whole else 0.0


def encode_file(
    path: Path, audio_format: AudioFormat, rate: int, blocks: Iterable[Samples], sample_rate: int | None = None
) -> None:
    """Write a whole file of `blocks` at `rate` Hz; its length, of hours if need be, is in its header."""
    with _DiskFile(path, "w") as file:
        writer: Encoder
        if audio_format == "pcm":
            writer = PcmEncoder(rate, sample_rate or SPEECH_RATE)
        else:
            writer = AvEncoder(CODECS[audio_format], rate, file, sample_rate)
        for block in blocks:
            file.write(writer.write(block))
        file.write(writer.finish())


class AvEncoder:
    """Encodes with PyAV into a sink."""

    costly = True

    def __init__(
        self, codec: Codec, rate: int, sink: _Sink | _File | _DiskFile, sample_rate: int | None = None
    ) -> None:
        self._rate = rate
        self._position = 0
        self._sink = sink
        # Without it the container buffers 32 KB, which is seconds of speech.
        options = {"flush_packets": "1", **codec.options}
        self._container = av.open(sink, "w", format=codec.container, options=options)
        # PyAV resamples and converts to the encoder's input format.
        stream = self._container.add_stream(codec.encoder, rate=sample_rate or codec.rate or rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        self._stream = stream
        if codec.bit_rate:
            self._stream.bit_rate = codec.bit_rate

    def write(self, samples: Samples) -> bytes:
        """Encode `samples`; the part that does not fill a frame of the codec waits."""
        self._encode(frame(samples, self._rate, self._position))
        self._position += len(samples)
        return self._sink.ready()

    def finish(self) -> bytes:
        """Return the last frames and the container's end; for a whole file, all of it."""
        self._encode(None)
        self._container.close()
        return self._sink.rest()

    def _encode(self, audio: av.AudioFrame | None) -> None:
        for packet in self._stream.encode(audio):
            self._container.mux(packet)


class PcmEncoder:
    """Headerless 16-bit little-endian samples."""

    def __init__(self, rate: int, sample_rate: int = SPEECH_RATE) -> None:
        self._rate = rate
        self._position = 0
        self._resampler = av.AudioResampler("s16", "mono", sample_rate) if rate != sample_rate else None
        self.costly = self._resampler is not None

    def write(self, samples: Samples) -> bytes:
        """Return the samples at the rate of the file."""
        if self._resampler is None:
            return samples.astype("<i2", copy=False).tobytes()
        resampled = self._resampler.resample(frame(samples, self._rate, self._position))
        self._position += len(samples)
        return _bytes(resampled)

    def finish(self) -> bytes:
        """Return the samples that the resampler still holds."""
        return _bytes(self._resampler.resample(None)) if self._resampler else b""


class WavEncoder:
    """16-bit WAV; its header is sent before the length is known."""

    def __init__(self, rate: int, sample_rate: int) -> None:
        self._samples = PcmEncoder(rate, sample_rate)
        self.costly = self._samples.costly
        self._header = struct.pack(
            "<4sI4s4sIHHIIHH4sI",
            *(b"RIFF", _UNKNOWN, b"WAVE"),
            *(b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16),
            *(b"data", _UNKNOWN),
        )

    def write(self, samples: Samples) -> bytes:
        """Return the samples, after the header the first time."""
        header, self._header = self._header, b""
        return header + self._samples.write(samples)

    def finish(self) -> bytes:
        """Return the rest of the samples, and the header if there were none."""
        header, self._header = self._header, b""
        return header + self._samples.finish()


class _Sink:
    """A sink for streams; it has no `seek`, so that containers do not try to complete their header later."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def write(self, data: bytes) -> int:
        self._bytes += data
        return len(data)

    def ready(self) -> bytes:
        taken = bytes(self._bytes)
        self._bytes.clear()
        return taken

    rest = ready


class _File(io.BytesIO):
    """A sink for whole files, in which PyAV completes the header when it knows the length."""

    def ready(self) -> bytes:
        return b""

    rest = io.BytesIO.getvalue


class _DiskFile(io.FileIO):
    """A sink on the disk; what the container writes is there already."""

    def ready(self) -> bytes:
        return b""

    rest = ready


def _bytes(frames: list[av.AudioFrame]) -> bytes:
    return b"".join(samples_of(audio).astype("<i2", copy=False).tobytes() for audio in frames)
