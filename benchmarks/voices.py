"""`scripts/bench voices [--quick] [--model ID] [--json FILE]`: how well a transcription model understands voices.

Every English voice of Kokoro reads the same short sentences, such as those of a first try; with `--quick` two voices
read two. The figures decide which voice has which of OpenAI's names in `adapters/kokoro/family.toml`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openai

from benchmarks import preparation
from benchmarks.report import write
from tests.e2e.server import ROOT
from tests.e2e.words import plain, word_error_rate

RESULTS = ROOT / "benchmarks" / "results"
SENTENCES = (
    "Good morning.",
    "Hello there.",
    "How are you today?",
    "Thank you very much.",
    "See you tomorrow.",
    "It is raining outside.",
    "What time is it?",
    "Please close the door.",
    "I would like some tea.",
    "The train leaves at nine.",
    "This is a test of my new voice.",
    "Welcome home, dinner is ready.",
)


def measure(client: openai.OpenAI, model: str, *, quick: bool = False) -> dict[str, Any]:
    """Return, for each English voice, its word error rate and its wrong transcripts; the best voice comes first."""
    listed = client.get("/audio/voices", cast_to=dict[str, Any], options={"params": {"model": "kokoro-82m"}})
    names = [voice["id"] for voice in listed["voices"] if voice["id"][0] in "ab"]
    texts: Sequence[str] = SENTENCES
    if quick:
        names, texts = names[:2], texts[:2]
    found = ((name, _voice(client, model, name, texts)) for name in names)
    return {"model": model, "sentences": texts, "voices": dict(sorted(found, key=lambda each: each[1]["wer"]))}


def _voice(client: openai.OpenAI, model: str, voice: str, texts: Sequence[str]) -> dict[str, Any]:
    transcripts = [_transcript(client, model, voice, text) for text in texts]
    wrong = {
        text: transcript
        for text, transcript in zip(texts, transcripts, strict=True)
        if plain(text) != plain(transcript)
    }
    figures = {"wer": round(word_error_rate(texts, transcripts), 4), "wrong": wrong}
    print(voice, figures, flush=True)
    return figures


def _transcript(client: openai.OpenAI, model: str, voice: str, text: str) -> str:
    speech = client.audio.speech.create(model="kokoro-82m", voice=voice, input=text, response_format="wav").content
    return client.audio.transcriptions.create(model=model, file=("speech.wav", speech), language="en").text


def main() -> None:
    """Start a server, measure and write."""
    parser = argparse.ArgumentParser(prog="scripts/bench voices")
    parser.add_argument("--quick", action="store_true", help="two voices, two sentences")
    parser.add_argument("--model", default="whisper-base")
    parser.add_argument("--json", type=Path, default=RESULTS / "voices.json")
    arguments = parser.parse_args()
    settings = {"TTS_MODES": "kokoro-82m", "STT_MODELS": arguments.model}
    with (
        preparation.prepared_server(arguments.model, "kokoro-82m", "silero-vad", **settings) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", timeout=600) as client,
    ):
        figures = measure(client, arguments.model, quick=arguments.quick)
    write(arguments.json, figures)


if __name__ == "__main__":
    main()
