"""`scripts/bench words [--quick] [--model ID] [--json FILE]`: how far aligned words are from Kokoro's own durations.

Kokoro reads thirty sentences, or two with `--quick`, and reports the times of its words, which its network made the
audio by. Whisper is given the same audio and the text, as for a speech model that reports no times.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, Final

import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray

from benchmarks import preparation
from benchmarks.report import write
from gateway.audio.frames import Samples
from gateway.core.alignment import for_listening, words_in
from tests.e2e.direct import DEADLINE, Stream, outputs_of, tensor
from tests.e2e.server import ROOT
from tests.e2e.words import ENGLISH
from tritone.spoken_words import words_of
from tritone.transcript import Transcript, Word

RESULTS: Final = ROOT / "benchmarks" / "results"
VOICES: Final = ("af_heart", "am_michael", "bf_emma")


def measure(client: triton.InferenceServerClient, model: str, *, quick: bool = False) -> dict[str, Any]:
    """Return the errors of starts and ends in seconds, over all words of all sentences and voices."""
    pairs: list[tuple[Word, Word]] = []
    voices, texts = (VOICES[:1], ENGLISH[:2]) if quick else (VOICES, ENGLISH)
    for voice in voices:
        for text in texts:
            samples, rate, own = _spoken(client, text, voice)
            found = _aligned(client, model, text, samples, rate)
            assert [word.text for word in found] == [word.text for word in own], text
            pairs += zip(found, own, strict=True)
        print(voice, len(pairs), "words", flush=True)
    starts = np.array([found.start - own.start for found, own in pairs])
    ends = np.array([found.end - own.end for found, own in pairs])
    return {
        "model": model,
        "sentences": len(voices) * len(texts),
        "words": len(pairs),
        "start_seconds": _figures(starts),
        "end_seconds": _figures(ends),
        "load_average": os.getloadavg(),
    }


def _spoken(client: triton.InferenceServerClient, text: str, voice: str) -> tuple[Samples, int, list[Word]]:
    inputs = {"text": np.array([text.encode()], np.object_)}
    responses = list(Stream(client, "kokoro-82m", inputs, voice=voice, word_timestamps=True))
    words = [word for response in responses for word in words_of(response)]
    return np.concatenate([response["audio"] for response in responses]), int(responses[0]["sample_rate"][0]), words


def _aligned(client: triton.InferenceServerClient, model: str, text: str, samples: Samples, rate: int) -> list[Word]:
    window = tensor("audio", for_listening(samples, rate, 1.0).reshape(1, -1))
    parameters = {"known_text": text, "language": "en"}
    result = client.infer(model, [window], parameters=parameters, client_timeout=DEADLINE)
    transcript = Transcript.from_columns(outputs_of(result))
    return words_in(text, [word for segment in transcript.segments for word in segment.words])


def _figures(errors: NDArray[np.float64]) -> dict[str, float]:
    """Return the median and the 90th percentile of the distances, and the median of the errors with their sign."""
    half, most = np.quantile(np.abs(errors), [0.5, 0.9])
    return {"median": round(float(half), 3), "p90": round(float(most), 3), "bias": round(float(np.median(errors)), 3)}


def main() -> None:
    """Start a server, measure and write."""
    parser = argparse.ArgumentParser(prog="scripts/bench words")
    parser.add_argument("--quick", action="store_true", help="two sentences of one voice")
    parser.add_argument("--model", default="whisper-base")
    parser.add_argument("--json", type=Path, default=RESULTS / "words.json")
    arguments = parser.parse_args()
    settings = {"TTS_MODES": "kokoro-82m", "STT_MODELS": arguments.model}
    with (
        preparation.prepared_server(arguments.model, "kokoro-82m", "silero-vad", **settings) as server,
        triton.InferenceServerClient(server.grpc) as client,
    ):
        figures = measure(client, arguments.model, quick=arguments.quick)
    print(figures)
    write(arguments.json, figures)


if __name__ == "__main__":
    main()
