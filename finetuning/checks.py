"""What is wrong with clips, each alone and all together: errors stop the fine-tuning, warnings are told."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from finetuning.clip_table import Row
from finetuning.wav import Samples
from tritone.contract import SPEECH_RATE

Level = Literal["error", "warning"]

SHORTEST, LONGEST = 0.5, 30.0
"""Seconds of a clip that can be learned from."""
_GOOD_SECONDS: Final = (1.0, 20.0)
_GOOD_RATE: Final = 24_000
_FULL_SCALE: Final = 0.999
_CLIPPED: Final = 1e-4
"""The share of samples at full scale from which a clip is clipped."""
_QUIET_DB: Final = -40.0
_SILENT_SHARE: Final = 0.5
_NOISE_DB: Final = 15.0
"""The least distance between the loud and the quiet parts of a clip."""
_PACE: Final = 2.0
"""A clip whose pace is so many times that of the others, or its inverse, does not have this text."""
_FEW_FOR_PACE: Final = 5
_OTHER_SPEAKER: Final = 0.35
"""The cosine to the speaker's mean below which a clip is another speaker's."""
_UNSURE: Final = 0.5
_LITTLE_MINUTES, _GOOD_MINUTES = 10, 30

_SCRIPTS: Final[Mapping[str, tuple[str, ...]]] = {
    "ko": ("HANGUL",),
    "ja": ("HIRAGANA", "KATAKANA", "CJK"),
    "zh": ("CJK",),
    "ru": ("CYRILLIC",),
    **dict.fromkeys(("de", "en", "es", "fr", "it", "pt"), ("LATIN",)),
}
"""Language -> the scripts of its texts."""


@dataclass(frozen=True)
class Problem:
    """A finding, in words that say what to do."""

    level: Level
    kind: str
    text: str
    clip: str = ""
    """The clip's name; empty: of all clips together."""


@dataclass(frozen=True)
class Measured:
    """What was measured of one clip."""

    row: Row
    seconds: float
    peak: float
    level_db: float
    """RMS of the louder half, over full scale."""
    clipped: float
    """The share of samples at full scale."""
    silent: float
    """The share of frames of 20 ms without speech level."""
    noise_db: float
    """From the quietest tenth of the frames to the loudest."""
    digest: str
    """Hash of the samples."""

    @property
    def characters(self) -> int:
        """Letters and digits of the text, which take time to say."""
        return sum(unicodedata.category(char)[0] in "LN" for char in self.row.text)

    @property
    def pace(self) -> float:
        """Characters a second, without the silent parts."""
        return self.characters / max(0.1, self.seconds * (1 - self.silent))


def measure(row: Row, samples: Samples) -> Measured:
    """Measure a clip, samples (n,) at 24 kHz."""
    step = SPEECH_RATE // 50
    whole = len(samples) // step
    rms = np.sqrt(np.mean(np.square(samples[: whole * step].reshape(whole, step)), axis=1)) if whole else np.zeros(1)
    db = 20 * np.log10(np.maximum(rms, 1e-6))
    loud = float(np.quantile(db, 0.95))
    return Measured(
        row=row,
        seconds=len(samples) / SPEECH_RATE,
        peak=float(np.abs(samples).max(initial=0.0)),
        level_db=float(np.mean(db[db >= np.median(db)])),
        clipped=float(np.mean(np.abs(samples) >= _FULL_SCALE)) if len(samples) else 0.0,
        silent=float(np.mean(db < loud - 35)),
        noise_db=loud - float(np.quantile(db, 0.1)),
        digest=hashlib.sha256(np.ascontiguousarray(samples).tobytes()).hexdigest(),
    )


def of_clip(clip: Measured) -> Iterator[Problem]:
    """Yield the problems of one clip."""
    row = clip.row

    def problem(level: Level, kind: str, text: str) -> Problem:
        return Problem(level, kind, text, row.id)

    if not row.text:
        yield problem("error", "empty text", "the text is empty: write it, or delete the line")
    elif not clip.characters:
        yield problem("error", "empty text", f"the text {row.text!r} has no words: write it, or delete the line")
    if not SHORTEST <= clip.seconds <= LONGEST:
        advice = "delete the line" if clip.seconds < SHORTEST else "cut it, or leave its text out"
        yield problem("error", "length", f"{clip.seconds:.1f} s; {SHORTEST} to {LONGEST:g} are possible: {advice}")
    elif not _GOOD_SECONDS[0] <= clip.seconds <= _GOOD_SECONDS[1]:
        yield problem("warning", "length", f"{clip.seconds:.1f} s; 1 to 20 teach best")
    if clip.peak == 0:
        yield problem("error", "silence", "it is silent: delete the line")
        return
    if 0 < row.rate < _GOOD_RATE:
        yield problem(
            "warning", "rate", f"recorded at {row.rate} Hz: the voice will lack what is above {row.rate // 2}"
        )
    if clip.clipped > _CLIPPED:
        yield problem("warning", "clipping", f"{100 * clip.clipped:.2f} % of it is clipped: record it less loud")
    if clip.level_db < _QUIET_DB:
        yield problem("warning", "level", f"{clip.level_db:.0f} dB: record it louder")
    if clip.silent > _SILENT_SHARE:
        yield problem("warning", "silence", f"{100 * clip.silent:.0f} % of it is silent")
    if clip.noise_db < _NOISE_DB:
        yield problem("warning", "noise", f"speech is only {clip.noise_db:.0f} dB above the noise")
    if row.confidence is not None and row.confidence < _UNSURE:
        yield problem("warning", "transcript", f"the transcript is unsure ({row.confidence:.2f}): proof-read it")
    yield from _language(clip)


def _language(clip: Measured) -> Iterator[Problem]:
    row = clip.row
    letters = [unicodedata.name(char, "") for char in row.text if unicodedata.category(char).startswith("L")]
    expected = _SCRIPTS.get(row.language)
    if expected and letters:
        foreign = sum(not name.startswith(expected) for name in letters) / len(letters)
        if foreign > 0.5:
            text = f"{100 * foreign:.0f} % of the letters are not of {row.language}: correct the text or the language"
            yield Problem("error", "language", text, row.id)
    if re.search(r"\d", row.text):
        yield Problem("warning", "digits", "the text has digits: write them as they are spoken", row.id)


def of_all(clips: Sequence[Measured]) -> Iterator[Problem]:
    """Yield the problems of the clips together."""
    if not clips:
        yield Problem("error", "no clips", "there is no clip: prepare recordings first")
        return
    yield from _pace(clips)
    yield from _twice(clips)
    minutes = sum(clip.seconds for clip in clips) / 60
    if minutes < _LITTLE_MINUTES:
        text = f"{minutes:.1f} minutes of speech: {_LITTLE_MINUTES} are little, {_GOOD_MINUTES} are good"
        yield Problem("warning", "amount", text)
    languages = Counter(clip.row.language for clip in clips)
    if len(languages) > 1:
        named = ", ".join(f"{language or 'auto'} ({count})" for language, count in languages.most_common())
        yield Problem("warning", "languages", f"clips are of several languages: {named}")


def _pace(clips: Sequence[Measured]) -> Iterator[Problem]:
    by_language = defaultdict(list)
    for clip in clips:
        if clip.characters and clip.peak:
            by_language[clip.row.speaker, clip.row.language].append(clip)
    for group in by_language.values():
        usual = float(np.median([clip.pace for clip in group]))
        for clip in group if len(group) >= _FEW_FOR_PACE else ():
            if not 1 / _PACE <= clip.pace / usual <= _PACE:
                text = f"{clip.pace:.1f} characters a second, the others {usual:.1f}: is this its whole text?"
                yield Problem("warning", "pace", text, clip.row.id)


def _twice(clips: Sequence[Measured]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for clip in clips:
        if first := seen.get(clip.digest):
            yield Problem("warning", "duplicate", f"the same audio as {first}: delete one", clip.row.id)
        seen.setdefault(clip.digest, clip.row.id)
    texts = Counter(clip.row.text for clip in clips if clip.row.text)
    for text, count in texts.items():
        if count > 3:
            yield Problem("warning", "duplicate", f"{count} clips say {text[:60]!r}")


def of_speakers(rows: Sequence[Row], embeddings: Sequence[NDArray[np.float32] | None]) -> Iterator[Problem]:
    """Yield the clips that another speaker speaks; an embedding is of unit length, None for a clip without one."""
    by_speaker = defaultdict(list)
    for row, embedding in zip(rows, embeddings, strict=True):
        if embedding is not None:
            by_speaker[row.speaker].append((row, embedding))
    for speaker, group in by_speaker.items():
        if len(group) < 3:
            continue
        vectors = np.stack([embedding for _, embedding in group])
        similar = vectors @ vectors.T
        centre = vectors[int(np.median(similar, axis=1).argmax())]  # of the largest group of clips, not of the mean
        for (row, _), cosine in zip(group, vectors @ centre, strict=True):
            if cosine < _OTHER_SPEAKER:
                text = f"it does not sound like {speaker} (similarity {cosine:.2f}): delete it if someone else speaks"
                yield Problem("warning", "speaker", text, row.id)
