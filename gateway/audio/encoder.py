"""Speech into the six formats of OpenAI's API: each byte as soon as it is there, or a file that knows its length."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import av
import numpy as np

from gateway.audio.formats import AudioFormat
from gateway.audio.frames import Samples, frame, samples_of
from tritone.contract import SPEECH_RATE


@dataclass(frozen=True)
class Codec:
    """How a compressed format is made: PyAV's names, and the options of its encoder and of its container."""

    encoder: str
    container: str
    bit_rate: int | None = None
    rate: int | None = None
    """The only rate that is used, in Hz; None: the model's own."""
    options: Mapping[str, str] = field(default_factory=dict)


CODECS: Mapping[AudioFormat, Codec] = {
    "mp3": Codec("libmp3lame", "mp3", bit_rate=96_000, options={"id3v2_version": "0"}),
    # Pages of 100 ms, where the container would gather a second. Opus knows five rates, 24 kHz among them.
    "opus": Codec("libopus", "ogg", bit_rate=48_000, rate=SPEECH_RATE, options={"page_duration": "100000"}),
    "aac": Codec("aac", "adts", bit_rate=64_000),
    # Streamed, the length in its header stays "unknown", as the format allows; libsndfile alone cannot read that.
    "flac": Codec("flac", "flac"),
    # Streamed, `WavEncoder` makes it. Bit-exact: without the name of the program that wrote it.
    "wav": Codec("pcm_s16le", "wav", options={"fflags": "+bitexact"}),
}

_WAV_BYTES = 2**30
"""The data size in a WAV header that is sent before the length is known: 6 hours at 24 kHz.

Readers that meet the end of the stream first give what there was. Of the values that say "unknown", 0 makes `wave`
refuse the file and soundfile read nothing, and 0xFFFFFFFF is negative or endless to some; this one is a plain size.
"""


class Encoder(Protocol):
    """Takes int16 mono samples, gives the bytes that are ready; `finish` gives the rest, and is called once."""

    costly: bool
    """Whether a second of audio takes more than a tenth of a millisecond: then keep it off the event loop."""

    def write(self, samples: Samples) -> bytes:
        """Encode `samples`; may give nothing yet."""

    def finish(self) -> bytes:
        """What is left, the tail included."""


def encoder(audio_format: AudioFormat, rate: int, *, whole: bool = False) -> Encoder:
    """The encoder of one utterance at `rate` Hz; `pcm` comes out at 24 kHz, whatever `rate` is.

    A `whole` file tells its length where its format has a place for it, so that nothing is ready before `finish`.
    """
    if audio_format == "pcm":
        return PcmEncoder(rate)
    if audio_format == "wav" and not whole:
        return WavEncoder(rate)
    return AvEncoder(CODECS[audio_format], rate, _File() if whole else _Sink())


class AvEncoder:
    """A format that PyAV makes, into a sink."""

    costly = True

    def __init__(self, codec: Codec, rate: int, sink: _Sink | _File) -> None:
        self._rate = rate
        self._position = 0
        self._sink = sink
        # Else the container gathers 32 KB, seconds of speech, before it writes.
        options = {"flush_packets": "1", **codec.options}
        self._container = av.open(sink, "w", format=codec.container, options=options)
        # PyAV resamples and converts what it is given to what the encoder takes.
        stream = self._container.add_stream(codec.encoder, rate=codec.rate or rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        self._stream = stream
        if codec.bit_rate:
            self._stream.bit_rate = codec.bit_rate

    def write(self, samples: Samples) -> bytes:
        """Encode `samples`, but for what does not fill a frame of the codec."""
        self._encode(frame(samples, self._rate, self._position))
        self._position += len(samples)
        return self._sink.ready()

    def finish(self) -> bytes:
        """The last frames and what the container ends with; of a whole file all of it."""
        self._encode(None)
        self._container.close()
        return self._sink.rest()

    def _encode(self, audio: av.AudioFrame | None) -> None:
        for packet in self._stream.encode(audio):
            self._container.mux(packet)


class WavEncoder:
    """16-bit WAV with a header that goes out before the length is known, and nothing after the samples."""

    costly = False

    def __init__(self, rate: int) -> None:
        self._header = struct.pack(
            "<4sI4s4sIHHIIHH4sI",
            *(b"RIFF", _WAV_BYTES + 36, b"WAVE"),
            *(b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16),
            *(b"data", _WAV_BYTES),
        )

    def write(self, samples: Samples) -> bytes:
        """The samples as they are; the header goes before the first."""
        header, self._header = self._header, b""
        return header + samples.astype("<i2", copy=False).tobytes()

    def finish(self) -> bytes:
        """The header, if there was no sample at all."""
        return self.write(np.empty(0, np.int16))


class PcmEncoder:
    """Headerless 16-bit little-endian samples at 24 kHz."""

    costly = False

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._position = 0
        self._resampler = av.AudioResampler("s16", "mono", SPEECH_RATE) if rate != SPEECH_RATE else None

    def write(self, samples: Samples) -> bytes:
        """The samples at 24 kHz."""
        if self._resampler is None:
            return samples.astype("<i2", copy=False).tobytes()
        resampled = self._resampler.resample(frame(samples, self._rate, self._position))
        self._position += len(samples)
        return _bytes(resampled)

    def finish(self) -> bytes:
        """What the resampler still holds."""
        return _bytes(self._resampler.resample(None)) if self._resampler else b""


class _Sink:
    """Where PyAV writes what leaves at once; without `seek`, so that containers know that nothing is mended later."""

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
    """Where PyAV writes a whole file, and goes back to its head when it knows the length."""

    def ready(self) -> bytes:
        return b""

    rest = io.BytesIO.getvalue


def _bytes(frames: list[av.AudioFrame]) -> bytes:
    return b"".join(samples_of(audio).astype("<i2", copy=False).tobytes() for audio in frames)
