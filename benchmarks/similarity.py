"""`scripts/bench similarity [--quick] [--clones ID,...] [--references FOLDER] [--json FILE]`: do clones sound alike?

The network that tells speakers apart in transcripts (`speaker-embedding`) gives each recording a direction; the cosine
of two is near 1 for one voice. Two questions:

- `kokoro`: does the network tell voices apart at all? Each English voice of Kokoro reads some sentences; pairs of
  recordings of one voice are compared with pairs of two voices of the same sex, which are the harder ones, and of any.
- each model of `--clones`: does it speak in the voice of its reference? Its speech is compared with its own reference,
  and with those of the other voices. The references are Kokoro's voices, or the files of `--references`: recordings,
  each with its words in a file of the same name that ends in .txt.

`same` and `other` are the mean cosines; `margin` is the least of `same` less the greatest of `other`; `equal_error` is
the share of wrong decisions at the threshold where as many pairs of one voice are told apart as of two are not.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import openai

from benchmarks import preparation
from benchmarks.report import write
from gateway.audio.decoding import AudioFile
from gateway.core.speaker_encoder import SpeakerEmbedding, SpeakerEncoder
from tests.e2e.server import ROOT
from tritone.contract import LISTEN_RATE

RESULTS = ROOT / "benchmarks" / "results"
SENTENCES = (
    "The library closes at nine, but the reading room stays open.",
    "If it rains tomorrow we could have breakfast by the harbour.",
    "She had never seen so many people in the small square.",
)
"""The first one is that of the references."""
_LONGEST = 60
"""Seconds of a recording."""


def measure(
    client: openai.OpenAI, encoder: SpeakerEncoder, clones: Sequence[str], folder: Path | None, *, quick: bool
) -> dict[str, Any]:
    """Return the figures of Kokoro's voices and of each clone model; `quick`: of every seventh voice."""
    listed = client.get("/audio/voices", cast_to=dict[str, Any], options={"params": {"model": "kokoro-82m"}})
    names = [voice["id"] for voice in listed["voices"] if voice["id"][0] in "ab"]
    names = names[::7] if quick else names
    texts = SENTENCES[:2] if quick else SENTENCES
    spoken = {name: [_speak(client, "kokoro-82m", text, voice=name) for text in texts] for name in names}
    embedded = {name: [_embed(encoder, file) for file in files] for name, files in spoken.items()}
    figures: dict[str, Any] = {"voices": len(names), "sentences": texts, "kokoro": apart(embedded)}
    print("kokoro", figures["kokoro"], flush=True)
    references = _read(folder) if folder else {name: (files[0], SENTENCES[0]) for name, files in spoken.items()}
    for model in clones:
        figures[model] = cloned(client, encoder, model, references)
        print(model, figures[model], flush=True)
    return figures


def apart(voices: Mapping[str, Sequence[SpeakerEmbedding]]) -> dict[str, Any]:
    """Compare the recordings of each voice with each other, and with those of other voices.

    The second letter of a voice's name is its sex.
    """
    same = [float(a @ b) for recordings in voices.values() for a, b in combinations(recordings, 2)]
    pairs = [(one, other) for one, other in combinations(voices, 2)]
    of_any = [float(a @ b) for one, other in pairs for a in voices[one] for b in voices[other]]
    of_one_sex = [
        float(a @ b) for one, other in pairs if one[1] == other[1] for a in voices[one] for b in voices[other]
    ]
    return {"same_sex": compare(same, of_one_sex), "any": compare(same, of_any)}


def cloned(
    client: openai.OpenAI, encoder: SpeakerEncoder, model: str, references: Mapping[str, tuple[bytes, str]]
) -> dict[str, Any]:
    """Compare the speech of a clone model with its own reference, and with the other references."""
    directions = {name: _embed(encoder, file) for name, (file, _) in references.items()}
    same, other = [], []
    for name, (file, words) in references.items():
        voice = {"ref_audio": base64.b64encode(file).decode(), "ref_text": words}
        direction = _embed(encoder, _speak(client, model, SENTENCES[1], **voice))
        same.append(float(direction @ directions[name]))
        other += [float(direction @ each) for another, each in directions.items() if another != name]
    return compare(same, other)


def compare(same: Sequence[float], other: Sequence[float]) -> dict[str, float]:
    """Return the figures of the cosines of pairs of one voice and of two."""
    return {
        "same": round(float(np.mean(same)), 3),
        "other": round(float(np.mean(other)), 3),
        "margin": round(min(same) - max(other), 3),
        "equal_error": round(equal_error(same, other), 4),
    }


def equal_error(same: Sequence[float], other: Sequence[float]) -> float:
    """Return the share of wrong decisions at the threshold where it is the most equal for `same` and `other`."""
    one, two = np.array(same), np.array(other)
    rates = [((one < threshold).mean(), (two >= threshold).mean()) for threshold in np.unique([*same, *other])]
    rejected, accepted = min(rates, key=lambda rate: abs(rate[0] - rate[1]))
    return float(rejected + accepted) / 2


def _speak(client: openai.OpenAI, model: str, text: str, *, voice: str = "", **more: str) -> bytes:
    speech = client.audio.speech.create(
        model=model, voice=voice, input=text, response_format="wav", extra_body={"seed": 0, **more}
    )
    return speech.content


def _embed(encoder: SpeakerEncoder, file: bytes) -> SpeakerEmbedding:
    return encoder.encode(np.concatenate(list(AudioFile(io.BytesIO(file), LISTEN_RATE, _LONGEST, "file").blocks())))


def _read(folder: Path) -> dict[str, tuple[bytes, str]]:
    def found() -> Iterator[tuple[str, tuple[bytes, str]]]:
        for words in sorted(folder.glob("*.txt")):
            (recording,) = (path for path in folder.glob(f"{words.stem}.*") if path != words)
            yield words.stem, (recording.read_bytes(), words.read_text(encoding="utf-8").strip())

    return dict(found())


def main() -> None:
    """Start a server, measure and write."""
    parser = argparse.ArgumentParser(prog="scripts/bench similarity")
    parser.add_argument("--quick", action="store_true", help="every seventh voice, two sentences")
    parser.add_argument("--clones", default="", help="clone models, separated by commas; their weights must be there")
    parser.add_argument("--references", type=Path, help="a folder of recordings and their words")
    parser.add_argument("--json", type=Path, default=RESULTS / "similarity.json")
    arguments = parser.parse_args()
    clones = [model for model in arguments.clones.split(",") if model]
    load = round(os.getloadavg()[0], 1)
    settings = {"TTS_MODES": ",".join(["kokoro-82m", *clones]), "STT_MODELS": "none"}
    with (
        preparation.prepared_server("kokoro-82m", "speaker-embedding", **settings) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", timeout=600) as client,
    ):
        encoder = SpeakerEncoder(preparation.model_dir())
        figures = measure(client, encoder, clones, arguments.references, quick=arguments.quick)
    write(arguments.json, {"load": load, **figures})


if __name__ == "__main__":
    main()
