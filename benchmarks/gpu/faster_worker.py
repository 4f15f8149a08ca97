"""A process that runs faster-qwen3-tts, with the package's own version for its transformers; `faster` starts it."""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from statistics import median
from typing import Any

from benchmarks.gpu.bare import prepare
from benchmarks.gpu.steps import BenchOptions, options_from
from tritone.contract import SPEECH_RATE

CHUNKS = (2, 12)
"""Frames of a chunk: few, for the time to first audio, and its default, for speed."""
_FRAMES, _ROUNDS = 125, 3
_TEXT = "The library closes at nine, but the reading room stays open until the last reader has gone home."


def measure(options: BenchOptions, folder: str) -> dict[str, Any]:
    """Measure the time to first audio and the real-time factor of one request after the other."""
    import_module("adapters.qwen3_tts.package")  # replaces the package's unused modules before the next import
    import torch  # noqa: PLC0415 - only now can they be imported
    from faster_qwen3_tts import FasterQwen3TTS  # noqa: PLC0415

    model = FasterQwen3TTS.from_pretrained(folder, device=options.device, dtype=torch.bfloat16)
    figures: dict[str, Any] = {}
    for size in CHUNKS:
        rounds = []
        for _ in range(_ROUNDS + 1):
            started, first, samples = time.perf_counter(), 0.0, 0
            for audio, _, _ in model.generate_custom_voice_streaming(
                _TEXT, "ryan", "english", max_new_tokens=_FRAMES + 1, chunk_size=size
            ):
                first = first or time.perf_counter() - started
                samples += len(audio)
            audio_seconds = samples / SPEECH_RATE
            rounds.append((first, (time.perf_counter() - started) / audio_seconds, audio_seconds))
        firsts, factors, lengths = zip(*rounds[1:], strict=True)  # the first round captures graphs
        figures[f"chunks_of_{size}"] = {
            "ttfa_ms": round(1e3 * median(firsts), 2),
            "rtf": round(median(factors), 4),
            "audio_seconds": round(median(lengths), 2),
        }
    return figures


if __name__ == "__main__":
    given = options_from(sys.argv[1])
    prepare(given.faster_site)
    print(json.dumps(measure(given, sys.argv[2])))
