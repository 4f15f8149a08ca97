"""Decode a client's live audio to the models' sample rate, and encode speech for it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, Final, Literal

import av
import numpy as np

from gateway.audio.frames import frame, samples_of
from tritone.contract import LISTEN_RATE, SPEECH_RATE
from tritone.errors import InvalidInput
from tritone.windowing import Samples

FIELD: Final = "audio"
"""The field of an event that holds audio."""
Encoding = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
_CODECS: Final[dict[Encoding, tuple[str, int]]] = {
    "audio/pcm": ("pcm_s16le", SPEECH_RATE),
    "audio/pcmu": ("pcm_mulaw", 8000),
    "audio/pcma": ("pcm_alaw", 8000),
}
"""Encoding -> FFmpeg's name of it, and its rate in Hz."""


class LiveDecoder:
    """Decodes one client's audio to samples at `LISTEN_RATE`."""

    def __init__(self, encoding: Encoding) -> None:
        name, self._rate = _CODECS[encoding]
        codec = av.CodecContext.create(name, "r")
        assert isinstance(codec, av.AudioCodecContext)
        codec.sample_rate = self._rate
        codec.layout = "mono"
        self._codec = codec
        self._bytes = 2 if encoding == "audio/pcm" else 1
        self._resampler = av.AudioResampler("flt", "mono", LISTEN_RATE)
        self._position = 0

    def blocks(self, audio: Any) -> Iterator[bytes]:
        """Return the encoded audio of one event, in blocks of at most a second.

        Raises `InvalidInput` if it is not base64 of whole samples.
        """
        try:
            data = base64.b64decode(audio, validate=True)
        except (ValueError, TypeError):
            raise InvalidInput(FIELD, "it is not base64") from None
        if len(data) % self._bytes:
            raise InvalidInput(FIELD, "it does not end with a whole sample of 16 bits")
        second = self._rate * self._bytes
        return (data[start : start + second] for start in range(0, len(data), second))

    def decode(self, block: bytes) -> Samples:
        """Return the samples of a block that is not empty."""
        pieces = [np.empty(0, np.float32)]
        for decoded in self._codec.decode(av.Packet(block)):
            samples = samples_of(decoded)
            given = frame(samples, self._rate, self._position)
            self._position += len(samples)
            pieces += [resampled.to_ndarray()[0] for resampled in self._resampler.resample(given)]
        return np.concatenate(pieces)


class LiveEncoder:
    """Encodes speech at `SPEECH_RATE` for one client, piece by piece."""

    def __init__(self, encoding: Encoding) -> None:
        name, rate = _CODECS[encoding]
        self._codec: av.AudioCodecContext | None = None
        self._position = 0
        if encoding == "audio/pcm":
            return
        codec = av.CodecContext.create(name, "w")
        assert isinstance(codec, av.AudioCodecContext)
        codec.sample_rate = rate
        codec.layout = "mono"
        codec.format = "s16"
        self._codec = codec
        self._resampler = av.AudioResampler("s16", "mono", rate)

    def encode(self, pcm: bytes) -> bytes:
        """Return samples of 16 bits in the client's encoding; up to a few milliseconds come with the next ones."""
        if self._codec is None:
            return pcm
        samples = np.frombuffer(pcm, "<i2").astype(np.int16)
        given = frame(samples, SPEECH_RATE, self._position)
        self._position += len(samples)
        return self._encoded(given)

    def finish(self) -> bytes:
        """Return the rest; call it once."""
        return self._encoded(None) if self._codec and self._position else b""

    def _encoded(self, given: av.AudioFrame | None) -> bytes:
        assert self._codec
        packets = [self._codec.encode(resampled) for resampled in self._resampler.resample(given)]
        return b"".join(bytes(packet) for each in packets for packet in each)
