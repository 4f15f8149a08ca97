"""Render a model's samples to the audio file that the client requested."""

from __future__ import annotations

import numpy as np

from gateway.audio.encoder import decoder_delay, encoder
from gateway.audio.formats import AudioFormat
from gateway.audio.frames import Samples
from gateway.audio.tempo import Tempo
from gateway.audio.volume import Volume


class Renderer:
    """Changes the tempo and volume of int16 mono samples of `rate` Hz and encodes them.

    Only one thread at a time may use it. `finish` returns a `whole` file, with its length in its header.
    """

    def __init__(
        self,
        audio_format: AudioFormat,
        rate: int,
        tempo: float,
        *,
        whole: bool,
        sample_rate: int | None = None,
        volume: float = 1.0,
    ) -> None:
        """`sample_rate`: of the file, in Hz; None: the format's or the model's own."""
        self._encoder = encoder(audio_format, rate, whole=whole, sample_rate=sample_rate)
        self.delay = decoder_delay(audio_format, rate, whole=whole, sample_rate=sample_rate)
        """Seconds of silence that a player of the file adds before the speech."""
        self._tempo = Tempo(tempo, rate) if tempo != 1.0 else None
        self._volume = Volume(volume, rate) if volume != 1.0 else None
        self._rate = rate
        self._samples = 0

    @property
    def costly(self) -> bool:
        """True if `write` and `finish` should be called in a thread."""
        return self._encoder.costly or self._tempo is not None or self._volume is not None

    @property
    def seconds(self) -> float:
        """Seconds of audio encoded so far."""
        return self._samples / self._rate

    def write(self, samples: Samples) -> bytes:
        """Encode `samples`; may return no bytes yet."""
        return self._encode(self._tempo.write(samples) if self._tempo else samples)

    def finish(self) -> bytes:
        """Return the rest of the file; call it once."""
        tail = self._tempo.finish() if self._tempo else np.empty(0, np.int16)
        encoded = self._encode(tail)
        if self._volume:
            encoded += self._encode_leveled(self._volume.finish())
        return encoded + self._encoder.finish()

    def _encode(self, samples: Samples) -> bytes:
        return self._encode_leveled(self._volume.write(samples) if self._volume else samples)

    def _encode_leveled(self, samples: Samples) -> bytes:
        self._samples += len(samples)
        return self._encoder.write(samples) if len(samples) else b""
