"""`scripts/bench diarization [--quick] [--json FILE]`: how much of a conversation gets the wrong speaker?

Kokoro's English voices hold conversations: two to four speakers, twelve turns of a sentence or of a word or two, with
pauses of 0.1 to 0.8 s between them. Each is heard as it is, as a telephone would carry it, and with noise. Who spoke
when is known, so the answers are compared with it every 10 ms:

- `missed`, `invented`, `confused`: speech given to no speaker, silence given to a speaker, and speech given to another
  speaker, each as a share of all speech. Their sum is the diarization error rate. `confused_25` leaves out a quarter of
  a second on both sides of each change, as NIST does.
- `right_number`: the share of conversations with the right number of speakers. The number is found out (`found`) and
  given (`given`).
- `words`: the same errors in the segments of `diarized_json`, a transcript with speakers.
- `one_speaker`: what one would get by giving all speech to one speaker.
"""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any, Final

import numpy as np
import openai
import soundfile
from numpy.typing import NDArray

from benchmarks import preparation
from benchmarks.report import write
from tests.e2e.server import ROOT
from tests.e2e.words import ENGLISH
from tritone.contract import LISTEN_RATE

RESULTS: Final = ROOT / "benchmarks" / "results"
VOICES: Final = ("af_heart", "am_michael", "bf_emma", "bm_george", "af_sky", "am_puck", "bf_isabella", "bm_fable")
SHORT: Final = ("Yes.", "Oh, really?", "I see.", "No, not at all.", "Good idea.", "Why?")
TURNS: Final = 12
SPEAKERS: Final = (2, 3, 4)
CONVERSATIONS: Final = 3
"""Conversations for each number of speakers."""
CONDITIONS: Final = ("clean", "telephone", "noise")

_STEP: Final = 0.01
_COLLAR: Final = 0.25
_QUIET: Final = 0.03
"""The level below which a sentence is silent, as a share of its loudest sample: one voice hisses."""
_PAUSE: Final = 0.3
"""Seconds; a shorter silence inside a sentence is speech."""
_NOISE: Final = 0.004
"""The level of the added noise; speech has about 0.08."""
_TELEPHONE: Final = (300, 3400)
"""The band of a telephone, in Hz."""

Samples = NDArray[np.float32]
Turns = list[tuple[float, float, str]]
"""Begin and end in seconds, and the speaker."""


@dataclass(frozen=True)
class Conversation:
    """A conversation, and who speaks when in it."""

    samples: Samples
    turns: Turns

    @property
    def speakers(self) -> int:
        """The number of those who speak."""
        return len({speaker for _, _, speaker in self.turns})

    def file(self, condition: str) -> bytes:
        """Return it as a WAV file as it is heard under a condition."""
        samples = self.samples
        if condition == "telephone":
            spectrum = np.fft.rfft(samples)
            frequencies = np.fft.rfftfreq(len(samples), 1 / LISTEN_RATE)
            spectrum[(frequencies < _TELEPHONE[0]) | (frequencies > _TELEPHONE[1])] = 0
            samples = np.fft.irfft(spectrum, len(samples)).astype(np.float32)
        if condition == "noise":
            samples = samples + np.random.default_rng(0).normal(0, _NOISE, len(samples)).astype(np.float32)
        written = io.BytesIO()
        soundfile.write(written, samples, LISTEN_RATE, format="WAV")
        return written.getvalue()


class Cast:
    """Kokoro's voices, and what each has said so far."""

    def __init__(self, client: openai.OpenAI) -> None:
        self._client = client
        self._spoken: dict[tuple[str, str], Samples] = {}

    def say(self, voice: str, text: str) -> Samples:
        """Return a sentence without the silence around it."""
        if (voice, text) not in self._spoken:
            speech = self._client.audio.speech.create(
                model="kokoro-82m",
                voice=voice,
                input=text,
                response_format="wav",
                extra_body={"sample_rate": LISTEN_RATE},
            )
            samples, rate = soundfile.read(io.BytesIO(speech.content), dtype="float32")
            assert rate == LISTEN_RATE
            loud = _loud(samples)
            self._spoken[voice, text] = samples[loud[0] : loud[-1] + 1]
        return self._spoken[voice, text]

    def converse(self, voices: Sequence[str], random: np.random.Generator) -> Conversation:
        """Return a conversation in which each voice speaks at least once, and no voice twice in a row."""
        pieces: list[Samples] = [np.zeros(LISTEN_RATE // 2, np.float32)]
        turns: Turns = []
        position, speaker = len(pieces[0]), ""
        for turn in range(TURNS):
            others = [voice for voice in voices if voice != speaker]
            speaker = voices[turn] if turn < len(voices) else str(random.choice(others))
            said = self.say(speaker, str(random.choice(SHORT if random.random() < 1 / 3 else ENGLISH)))
            pause = np.zeros(int(random.uniform(0.1, 0.8) * LISTEN_RATE), np.float32)
            turns += [((position + a) / LISTEN_RATE, (position + b) / LISTEN_RATE, speaker) for a, b in _spoken(said)]
            pieces += [said, pause]
            position += len(said) + len(pause)
        return Conversation(np.concatenate(pieces), turns)


def measure(client: openai.OpenAI, *, quick: bool) -> dict[str, Any]:
    """Return the figures under each condition; `quick`: of one conversation of two, clean."""
    conversations = list(_conversations(Cast(client), (2,) if quick else SPEAKERS, 1 if quick else CONVERSATIONS))
    figures: dict[str, Any] = {
        "conversations": len(conversations),
        "speech_seconds": round(sum(end - start for each in conversations for start, end, _ in each.turns), 1),
        "one_speaker": _mean([errors(each.turns, [(s, e, "one") for s, e, _ in each.turns]) for each in conversations]),
    }
    for condition in CONDITIONS[:1] if quick else CONDITIONS:
        found, given, words = [], [], []
        for each in conversations:
            file = each.file(condition)
            found.append(_diarized(client, file, 0))
            given.append(_diarized(client, file, each.speakers))
            words.append(_with_words(client, file))
        figures[condition] = {
            "found": {
                **_mean([errors(each.turns, got) for each, got in zip(conversations, found, strict=True)]),
                "right_number": _share(conversations, found),
            },
            "given": _mean([errors(each.turns, got) for each, got in zip(conversations, given, strict=True)]),
            "words": {
                **_mean([errors(each.turns, got) for each, got in zip(conversations, words, strict=True)]),
                "right_number": _share(conversations, words),
            },
        }
        print(condition, figures[condition], flush=True)
    return figures


def _loud(samples: Samples) -> NDArray[np.int64]:
    """Return the positions of the samples that are not silence."""
    return np.flatnonzero(np.abs(samples) > _QUIET * np.abs(samples).max())


def _spoken(samples: Samples) -> list[tuple[int, int]]:
    """Return the stretches of speech in a sentence, [start, end) in samples."""
    pieces = np.split(loud := _loud(samples), np.flatnonzero(np.diff(loud) > _PAUSE * LISTEN_RATE) + 1)
    return [(int(piece[0]), int(piece[-1]) + 1) for piece in pieces]


def errors(truth: Turns, found: Turns) -> dict[str, float]:
    """Return the shares of errors in seconds of true speech, with the best match of the found speakers' names."""
    length = round(max(end for _, end, _ in [*truth, *found]) / _STEP) + 1
    names, labels = sorted({who for *_, who in truth}), sorted({who for *_, who in found})
    real, heard = _frames(truth, names, length), _frames(found, labels, length)
    both = (real >= 0) & (heard >= 0)
    together = np.zeros((len(names), max(len(labels), len(names))))
    np.add.at(together, (real[both], heard[both]), 1)
    match = max(
        permutations(range(together.shape[1]), len(names)),
        key=lambda columns: sum(together[row, column] for row, column in enumerate(columns)),
    )
    confused = both & (np.array(match)[real] != heard)
    inner = np.ones(length, bool)
    for start, end, _ in truth:
        for edge in (start, end):
            inner[max(0, round((edge - _COLLAR) / _STEP)) : round((edge + _COLLAR) / _STEP)] = False
    speech = float((real >= 0).sum())
    return {
        "missed": float(((real >= 0) & (heard < 0)).sum()) / speech,
        "invented": float(((real < 0) & (heard >= 0)).sum()) / speech,
        "confused": float(confused.sum()) / speech,
        "confused_25": float((confused & inner).sum()) / max(1.0, float(((real >= 0) & inner).sum())),
    }


def _frames(turns: Turns, names: Sequence[str], length: int) -> NDArray[np.int64]:
    """Return the speaker's number in each step; -1: nobody's."""
    frames = np.full(length, -1)
    for start, end, who in turns:
        frames[round(start / _STEP) : round(end / _STEP)] = names.index(who)
    return frames


def _conversations(cast: Cast, speakers: Sequence[int], each: int) -> Iterator[Conversation]:
    random = np.random.default_rng(0)
    for number in speakers:
        for _ in range(each):
            yield cast.converse([str(voice) for voice in random.permutation(VOICES)[:number]], random)
        print(f"{each} conversations of {number} speakers", flush=True)


def _diarized(client: openai.OpenAI, file: bytes, speakers: int) -> Turns:
    answer = client.post(
        "/audio/diarization",
        cast_to=dict[str, Any],
        files={"file": ("conversation.wav", file)},
        body={"num_speakers": str(speakers)},
        options={"headers": {"content-type": "multipart/form-data"}},
    )
    return [(each["start"], each["end"], each["speaker"]) for each in answer["segments"]]


def _with_words(client: openai.OpenAI, file: bytes) -> Turns:
    answer: Any = client.audio.transcriptions.create(
        model="whisper-base",
        file=("conversation.wav", file),
        response_format="diarized_json",
        language="en",
        chunking_strategy="auto",
    )
    return [(each.start, each.end, each.speaker) for each in answer.segments]


def _mean(figures: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: round(float(np.mean([each[name] for each in figures])), 4) for name in figures[0]}


def _share(conversations: Sequence[Conversation], found: Sequence[Turns]) -> float:
    """Return the share of conversations where the number of speakers is right."""
    pairs = zip(conversations, found, strict=True)
    return round(float(np.mean([each.speakers == len({who for *_, who in got}) for each, got in pairs])), 3)


def main() -> None:
    """Start a server, measure and write."""
    parser = argparse.ArgumentParser(prog="scripts/bench diarization")
    parser.add_argument("--quick", action="store_true", help="one conversation of two speakers")
    parser.add_argument("--json", type=Path, default=RESULTS / "diarization.json")
    arguments = parser.parse_args()
    load = round(os.getloadavg()[0], 1)
    weights = ("kokoro-82m", "whisper-base", "silero-vad", "speaker-embedding")
    with (
        preparation.prepared_server(*weights, TTS_MODES="kokoro-82m", STT_MODELS="whisper-base") as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", timeout=600) as client,
    ):
        figures = measure(client, quick=arguments.quick)
    write(arguments.json, {"load": load, **figures})


if __name__ == "__main__":
    main()
