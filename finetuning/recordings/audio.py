"""The audio of recordings: decoded, cut at silences, trimmed, and written as clips."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np

from finetuning.errors import FineTuningError
from finetuning.wav import Samples
from gateway.audio.decoding import AudioFile
from gateway.core.errors import PayloadTooLarge
from tritone.contract import LISTEN_RATE, SPEECH_RATE
from tritone.errors import InvalidInput
from tritone.windowing import SpeechDetector, VadOptions, split_at_silence

LEAST_RATE: Final = 16_000
"""Hz; a recording with less has no consonants to learn."""
MOST_SECONDS: Final = 24 * 3600
EDGE_SECONDS: Final = 0.2
"""Silence that is kept at both ends of a clip."""
_VAD: Final = VadOptions(pad_before=EDGE_SECONDS)
_STEP: Final = SPEECH_RATE // 100
"""Samples of a frame of 10 ms."""
_QUIET: Final = 10 ** (-40 / 20)
"""The RMS of a frame of silence, over that of the clip's loudest frames."""


@dataclass(frozen=True)
class Cut:
    """A part of a recording, in seconds from its start."""

    start: float
    end: float


class Recording:
    """A recording that is read as often as needed; errors are `FineTuningError` and name the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rate = 0
        """The file's own sample rate; known once a block was read."""

    def blocks(self, rate: int) -> Generator[Samples]:
        """Yield the samples at `rate` in blocks of about a second."""
        try:
            with self.path.open("rb") as file:
                audio = AudioFile(file, rate, MOST_SECONDS, "audio", on_frame=self._see)
                with closing(audio.clean_blocks()) as blocks:
                    yield from blocks
        except FileNotFoundError:
            raise FineTuningError(f"{self.path} is missing: correct the path, or remove it from the list") from None
        except PermissionError:
            raise FineTuningError(f"{self.path} may not be read by this user: change its permissions") from None
        except InvalidInput:
            raise FineTuningError(f"{self.path} cannot be decoded as audio: replace or remove it") from None
        except PayloadTooLarge:
            raise FineTuningError(f"{self.path} is longer than {MOST_SECONDS // 3600} hours: split it") from None

    def samples(self) -> Samples:
        """Return all samples at 24 kHz."""
        return np.concatenate([*self.blocks(SPEECH_RATE)])

    def cuts(self, detect: SpeechDetector, seconds: int) -> list[Cut]:
        """Return the parts with speech, each at most `seconds` long and cut at a pause where there is one."""
        windows = split_at_silence(self.blocks(LISTEN_RATE), detect, _VAD, seconds)
        return [Cut(window.start_seconds, window.start_seconds + window.seconds) for window in windows]

    def parts(self, cuts: Sequence[Cut]) -> Iterator[Samples]:
        """Yield the samples of each of `cuts`, which are in order, at 24 kHz."""
        held, start = np.empty(0, np.float32), 0
        blocks = self.blocks(SPEECH_RATE)
        with closing(blocks):
            for cut in cuts:
                first, last = round(cut.start * SPEECH_RATE), round(cut.end * SPEECH_RATE)
                while start + len(held) < last and (block := next(blocks, None)) is not None:
                    drop = min(max(0, first - start), len(held))
                    held, start = np.concatenate([held[drop:], block]), start + drop
                yield held[max(0, first - start) : last - start]

    def _see(self, frame: av.AudioFrame) -> None:
        self.rate = frame.sample_rate
        if self.rate < LEAST_RATE:
            raise FineTuningError(
                f"{self.path} has {self.rate} Hz: record at 24000 Hz or more, {LEAST_RATE} is the least"
            )


def trimmed(samples: Samples, edge: float = EDGE_SECONDS) -> tuple[Samples, int]:
    """Return the clip with at most `edge` seconds of silence at both ends, and the samples taken from its start."""
    whole = len(samples) // _STEP
    if not whole:
        return samples, 0
    rms = np.sqrt(np.mean(np.square(samples[: whole * _STEP].reshape(whole, _STEP)), axis=1))
    loud = np.flatnonzero(rms > np.quantile(rms, 0.95) * _QUIET)
    if not len(loud):
        return samples, 0
    kept = round(edge * SPEECH_RATE)
    first = max(0, int(loud[0]) * _STEP - kept)
    return samples[first : (int(loud[-1]) + 1) * _STEP + kept], first


def at_listen_rate(samples: Samples) -> Samples:
    """Return samples at 24 kHz resampled to the transcription models' rate."""
    resampler = av.AudioResampler("flt", "mono", LISTEN_RATE)
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
    frame.sample_rate = SPEECH_RATE
    made = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([part.to_ndarray().reshape(-1) for part in made])
