"""`scripts/bench clips [--quick] [--speech FOLDER] [--json FILE]`: short clips in a window of their length.

Each clip is transcribed twice, one after the other, by one thread of one process: with the encoder's whole window of
30 s, and as a clip, which the encoder sees in 15 s or more. The clips are the test recordings and sentences that Kokoro
speaks in six languages; then several sentences in one clip, and sounds that are no speech. The language is given;
where it is not, both are the same.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import count, cycle
from pathlib import Path
from statistics import fmean, median
from typing import Any, Final

import numpy as np
import openai
from faster_whisper import decode_audio

from adapters.triton.instance import Instance
from adapters.triton.transcriber import WindowRequest
from adapters.whisper import checkpoint
from adapters.whisper.transcriber import WhisperTranscriber
from adapters.whisper.window_state import WindowState
from benchmarks.preparation import model_dir, prepare
from benchmarks.report import write
from benchmarks.stt import PAUSE, RESULTS, librivox
from tests.e2e.server import serve
from tests.e2e.test_human_speech import at, without_accents
from tests.e2e.test_round_trip import FRENCH, MANDARIN, SPANISH
from tests.e2e.words import ENGLISH, character_error_rate, word_error_rate
from tests.unit.tritone.non_speech import non_speech
from tritone.contract import LISTEN_RATE, TranscriptionOptions
from tritone.windowing import Samples

VOICES: Final = {
    "en": ("af_heart", "am_adam", "bf_emma"),
    "es": ("ef_dora",),
    "fr": ("ff_siwis",),
    "it": ("if_sara",),
    "pt": ("pf_dora",),
    "zh": ("zf_xiaoxiao",),
}
SENTENCES: Final = {
    "en": [
        *ENGLISH,
        "Good morning.",
        "What time is it?",
        "Please close the door.",
        "When does the next train to the coast leave?",
    ],
    "es": [
        *SPANISH,
        "¿Dónde está la parada del autobús?",
        "Gracias por su ayuda.",
        "La biblioteca cierra a las ocho de la tarde.",
        "Ayer caminamos por el río hasta que empezó a llover.",
    ],
    "fr": [
        *FRENCH,
        "Où se trouve la gare la plus proche?",
        "Merci beaucoup.",
        "La bibliothèque ferme à vingt heures.",
        "Hier soir, nous avons marché le long de la rivière.",
    ],
    "it": [
        "Buongiorno, vorrei prenotare un tavolo per quattro persone.",
        "Dove si trova la stazione più vicina?",
        "Grazie mille.",
        "La biblioteca chiude alle otto di sera.",
        "Mia sorella lavora in un ospedale vicino alla spiaggia.",
        "Ieri sera abbiamo camminato lungo il fiume.",
        "Il treno per Roma parte domani mattina.",
    ],
    "pt": [
        "Bom dia, eu gostaria de reservar uma mesa para quatro pessoas.",
        "Onde fica a estação mais próxima?",
        "Muito obrigado.",
        "A biblioteca fecha às oito da noite.",
        "Minha irmã trabalha em um hospital perto da praia.",
        "Ontem à noite, caminhamos ao longo do rio.",
        "O trem para Lisboa sai amanhã de manhã.",
    ],
    "zh": [*MANDARIN, "谢谢你的帮助。", "图书馆晚上八点关门。", "昨天晚上我们沿着河边散步。", "我的妹妹在医院工作。"],
}
LONGER: Final = "several sentences"
JOINED: Final = 4
"""Sentences in a longer clip, with a second between them."""


@dataclass(frozen=True)
class Clip:
    """A recording, where it is from, and what is said."""

    source: str
    language: str
    text: str
    samples: Samples

    @property
    def seconds(self) -> float:
        """The length of the recording."""
        return len(self.samples) / LISTEN_RATE


@dataclass(frozen=True)
class Heard:
    """What was heard, its cost in seconds, and how often the encoder saw the whole window."""

    text: str
    cpu: float
    wall: float
    whole: int


@dataclass(frozen=True)
class Row:
    """A clip, and what was heard in the whole window and in that of a clip."""

    said: Clip
    whole: Heard
    clip: Heard

    @property
    def differs(self) -> bool:
        """Whether the texts do."""
        return self.whole.text != self.clip.text


WHOLE: Final = 1500
"""The encoder's positions for 30 s."""


class Counted(WhisperTranscriber):
    """Counts the windows that the encoder saw whole."""

    whole = 0

    def _encode(self, states: Sequence[WindowState]) -> None:
        super()._encode(states)
        self.whole += sum(len(state.encoded) == WHOLE for state in states)


def recordings() -> list[Clip]:
    """Return the test recordings: of LibriVox, of a studio, and prompts of a telephone."""
    folder = model_dir() / "test-recordings"
    clips = [Clip("librivox", "en", clip.text, clip.samples) for clip in librivox()]
    for language, text in {
        "en": "Some call me nature, others call me mother nature.",
        "zh": "对这就是我万人敬仰的太乙真人",
    }.items():
        file = folder / "f5-tts" / f"basic_ref_{language}.wav"
        clips.append(Clip("studio", language, text, decode_audio(str(file), sampling_rate=LISTEN_RATE)))
    for language in ("es", "fr"):
        prompts = folder / "asterisk" / language
        with gzip.open(prompts / f"core-sounds-{language}.txt.gz", "rt", encoding="utf-8") as lines:
            texts = dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith(";"))
        clips += [
            Clip("telephone", language, texts[file.stem].strip(), decode_audio(str(file), sampling_rate=LISTEN_RATE))
            for file in sorted(prompts.glob("*.gsm"))
        ]
    return clips


def spoken(folder: Path) -> list[Clip]:
    """Return the sentences as Kokoro speaks them, from the files of an earlier run in `folder` if they are there."""
    wanted = {
        folder / f"{language}-{i}-{voice}.wav": (language, text, voice)
        for language, texts in SENTENCES.items()
        for i, (text, voice) in enumerate(zip(texts, cycle(VOICES[language]), strict=False))
    }
    if missing := [file for file in wanted if not file.exists()]:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory() as logs,
            serve(Path(logs) / "serve.log", TTS_MODES="kokoro-82m") as server,
            openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", timeout=3600) as client,
        ):
            for file in missing:
                _, text, voice = wanted[file]
                speech = client.audio.speech.create(model="kokoro-82m", voice=voice, input=text, response_format="wav")
                file.write_bytes(speech.content)
    return [
        Clip("kokoro", language, text, decode_audio(str(file), sampling_rate=LISTEN_RATE))
        for file, (language, text, _) in wanted.items()
    ]


def joined(clips: Iterable[Clip]) -> list[Clip]:
    """Return clips of several sentences of one language each."""
    by_language: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_language[clip.language].append(clip)
    longer = []
    for language, own in by_language.items():
        for start in range(0, len(own) - JOINED + 1, JOINED):
            part = own[start : start + JOINED]
            samples = np.concatenate([piece for clip in part for piece in (clip.samples, PAUSE)])
            longer.append(Clip(LONGER, language, " ".join(clip.text for clip in part), samples))
    return longer


@cache
def transcriber_of(model: str) -> Counted:
    """Return the transcriber of this process, on one thread."""
    folder = model_dir() / model
    instance = Instance(model=model, device="cpu", device_index=0, folder=folder, threads=1, parameters={})
    return Counted(checkpoint.load(instance, model_dir()))


def hear(model: str, clip: Clip, *, short: bool) -> Heard:
    """Transcribe once."""
    transcriber = transcriber_of(model)
    transcriber.whole = 0
    request = WindowRequest(clip.samples, TranscriptionOptions(language=clip.language, clip=short))
    cpu, wall = time.process_time(), time.perf_counter()
    [transcript] = transcriber.transcribe([request])
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Heard("".join(segment.text for segment in transcript.segments), cpu, wall, transcriber.whole)


def hear_twice(model: str, clip: Clip, number: int) -> Row:
    """Transcribe a clip in both ways; every second one in the short window first."""
    sides = {short: hear(model, clip, short=short) for short in (number % 2 == 1, number % 2 == 0)}
    row = Row(clip, sides[False], sides[True])
    print(f"{clip.source}, {clip.language}: {row.whole.cpu:.2f} | {row.clip.cpu:.2f} s, {row.differs=}", flush=True)
    return row


def figures_of(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the figures of both sides, of each source and each language."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[f"{row.said.source}, {row.said.language}"].append(row)
        groups["all" if row.said.source != LONGER else f"all, {LONGER}"].append(row)
    return {
        "by_source": {name: _figures(own) for name, own in groups.items()},
        "whole_window_after_all": sum(row.clip.whole > 0 for row in rows),
        "differing": [
            {"said": row.said.text, "whole": row.whole.text, "clip": row.clip.text} for row in rows if row.differs
        ],
    }


def _figures(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the error rates, the costs, and how many times cheaper a clip is. Chinese has no words between spaces."""
    by_words = [row for row in rows if row.said.language != "zh"]
    rate = word_error_rate if by_words else character_error_rate
    said = [without_accents(row.said.text) for row in by_words or rows]
    whole, clip = ([getattr(row, side) for row in by_words or rows] for side in ("whole", "clip"))
    return {
        "clips": len(rows),
        "mean_seconds": round(fmean(row.said.seconds for row in rows), 2),
        "word_error_rate" if by_words else "character_error_rate": {
            name: round(rate(said, [without_accents(heard.text) for heard in side]), 4)
            for name, side in {"whole": whole, "clip": clip}.items()
        },
        "cpu_seconds": {
            "whole": round(fmean(row.whole.cpu for row in rows), 2),
            "clip": round(fmean(row.clip.cpu for row in rows), 2),
        },
        "cpu_ratio": round(sum(row.whole.cpu for row in rows) / sum(row.clip.cpu for row in rows), 2),
        "median_cpu_ratio": round(median(row.whole.cpu / row.clip.cpu for row in rows), 2),
        "median_wall_ratio": round(median(row.whole.wall / row.clip.wall for row in rows), 2),
    }


def sounds() -> list[Clip]:
    """Return silence and sounds that are no speech, half of them loud and half of them faint."""
    levels = cycle((-20, -60))
    noises = [Clip(name, "en", "", at(sound, next(levels))) for name, sound in non_speech().items()]
    return [Clip("silence", "en", "", np.zeros(5 * LISTEN_RATE, np.float32)), *noises]


def heard_in(rows: Sequence[Row]) -> dict[str, Any]:
    """Return what both sides hear where nobody speaks. The gateway does not send such sounds."""
    return {
        "sounds": len(rows),
        "heard_as_words": {
            "whole": sum(bool(row.whole.text.strip()) for row in rows),
            "clip": sum(bool(row.clip.text.strip()) for row in rows),
        },
        "whole_window_after_all": sum(row.clip.whole > 0 for row in rows),
        "texts": {
            row.said.source: {"whole": row.whole.text, "clip": row.clip.text}
            for row in rows
            if (row.whole.text + row.clip.text).strip()
        },
    }


def main() -> None:
    """Speak, transcribe and write."""
    parser = argparse.ArgumentParser(prog="scripts/bench clips")
    parser.add_argument("--quick", action="store_true", help="a quarter of the clips and sounds")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="(default: the cores)")
    parser.add_argument("--model", default="whisper-base")
    parser.add_argument("--speech", type=Path, help="keep the spoken sentences here, and use them again")
    parser.add_argument("--json", type=Path, default=RESULTS / "clips.json")
    given = parser.parse_args()
    prepare(given.model, "kokoro-82m", "silero-vad", "test-recordings")
    with tempfile.TemporaryDirectory() as temporary:
        sentences = spoken(given.speech or Path(temporary))
    step = 4 if given.quick else 1
    clips = [*recordings(), *sentences, *joined(sentences)][::step]
    silent = sounds()[::step]
    with ProcessPoolExecutor(given.processes, multiprocessing.get_context("spawn")) as pool:
        rows = list(pool.map(partial(hear_twice, given.model), [*clips, *silent], count()))
    figures = {
        "model": given.model,
        "threads": 1,
        "processes": given.processes,
        "load": [round(load, 1) for load in os.getloadavg()],
        **figures_of(rows[: len(clips)]),
        "without_speech": heard_in(rows[len(clips) :]),
    }
    print(json.dumps(figures["by_source"]["all"], indent=2))
    write(given.json, figures)


if __name__ == "__main__":
    main()
