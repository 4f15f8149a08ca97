"""`scripts/bench clones [--quick] [--json FILE]`: how soon a cloned voice starts, compared with a built-in one.

On random checkpoints with the real numbers of layers (`thin`), on the CPU. In every round each kind of request is sent
once, alone, and its time to first audio is divided by that of a built-in voice in the same round. Times are CPU seconds
of the process, which other processes hardly change; with one thread and no other load they are those that pass.

- `first`: the voice's first request. Its recording is encoded.
- `second`: a later request with another text. The voice is held.
- `without_prefix`: the same, but its prompt is prefilled from the beginning.
- `stock`: the published package's `generate_voice_clone` with the recording, which returns the whole audio at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.report import write

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "stand_ins"))

from adapters.qwen3_tts.checkpoint import Checkpoint  # noqa: E402
from adapters.qwen3_tts.inflight.engine import InflightEngine  # noqa: E402
from adapters.qwen3_tts.inflight.io.voice_cache import ClonedVoice  # noqa: E402
from adapters.qwen3_tts.inflight.loading import load_engine  # noqa: E402
from adapters.qwen3_tts.inflight.settings import EngineSettings  # noqa: E402
from adapters.qwen3_tts.runtime import Hardware, Runtime  # noqa: E402
from adapters.qwen3_tts.stock.package_model import PackageModel  # noqa: E402
from adapters.triton.metrics import Metrics  # noqa: E402
from adapters.triton.references import Reference  # noqa: E402
from adapters.triton.response_stream import ResponseStream  # noqa: E402
from adapters.triton.speech_request import SpeechRequest  # noqa: E402
from benchmarks.engine import Client  # noqa: E402
from benchmarks.utterances import TEXT, VOICES  # noqa: E402
from tools.tiny_models.qwen3_tts import write_checkpoint  # noqa: E402
from tools.tiny_models.shapes import SHAPES  # noqa: E402
from tritone.contract import SPEECH_RATE, SpeechOptions  # noqa: E402

RUNTIME = Runtime.choose(Hardware("cpu", None, flash_attention=False), {})
WORDS = {3: "It is nine.", 10: "It is nine, and the library closes now. Go home."}
"""The words of recordings of so many seconds: about three tokens a second, with the checkpoints' own tokenizer."""
STOCK_ROUNDS = 1
"""Rounds with the package, which takes most of the time."""
LAYOUTS = {"reference": False, "speaker_embedding": True}
"""Name -> whether only the speaker embedding is cloned."""


def recording(seconds: float, number: int) -> NDArray[np.float32]:
    """Return mono samples (n,) at `SPEECH_RATE` of a tone with overtones, another for each number."""
    times = np.arange(round(seconds * SPEECH_RATE)) / SPEECH_RATE
    tones = [np.sin(2 * np.pi * (120 + number) * overtone * times) / overtone for overtone in range(1, 9)]
    samples: NDArray[np.float32] = (0.1 * np.sum(tones, axis=0)).astype(np.float32)
    return samples


def request(number: int, frames: int, *, reference: Reference | None = None) -> SpeechRequest:
    """Return a request that reads its text while it is synthesized."""
    options = SpeechOptions(temperature=0.0, max_new_tokens=frames + 1, streaming_text=True)
    if reference:
        options = replace(options, ref_text=reference.text, x_vector_only=reference.x_vector_only)
    return SpeechRequest(
        text=TEXT.format(number),
        voice="" if reference else VOICES[number % len(VOICES)],
        language="en",
        speed=1.0,
        options=options,
        reference=reference,
    )


class CpuClient(Client):
    """A client that also records the CPU time of the process."""

    def __init__(self) -> None:
        super().__init__()
        self.submitted_cpu, self.first_cpu = time.process_time(), 0.0

    def send(self, response: Any = None, flags: int = 0) -> None:
        """Receive a response."""
        self.first_cpu = self.first_cpu or time.process_time()
        super().send(response, flags)


@contextmanager
def engine_of(folder: Path) -> Iterator[InflightEngine]:
    """Run the engine on a checkpoint."""
    settings = EngineSettings.read("cpu", {"QWEN_KV_POSITIONS": "1024", "QWEN_RUNAWAY_SECONDS": "0"})
    engine = load_engine(Checkpoint.read(folder), RUNTIME, settings)
    yield engine
    engine.close()


def first_audio(engine: InflightEngine, asked: SpeechRequest) -> float:
    """Return the CPU seconds to the first audio of a request alone."""
    client = CpuClient()
    engine.submit(asked, ResponseStream(client, Metrics("bench", "speech")))
    client.wait()
    return client.first_cpu - client.submitted_cpu


def held_voice(engine: InflightEngine, reference: Reference) -> ClonedVoice:
    """Return a voice that the engine holds."""
    voices = engine._input_processor._voices
    assert voices is not None
    voice = voices.find(reference)
    assert voice is not None
    return voice


def stock_seconds(package: Any, reference: Reference, number: int, frames: int) -> float:
    """Return the CPU seconds of the package, which encodes the recording and synthesizes all of the text."""
    started = time.process_time()
    package.generate_voice_clone(
        text=TEXT.format(number),
        language="english",
        ref_audio=(reference.samples, SPEECH_RATE),
        ref_text=reference.text or None,
        x_vector_only_mode=reference.x_vector_only,
        max_new_tokens=frames + 1,
        do_sample=False,
        subtalker_dosample=False,
    )
    return time.process_time() - started


def measure(built_in: Path, clone: Path, *, seconds: int, frames: int, rounds: int) -> dict[str, Any]:
    """Return the figures of recordings of so many seconds."""
    package = PackageModel.load(Checkpoint.read(clone), RUNTIME)
    times: dict[str, dict[str, list[float]]] = {layout: defaultdict(list) for layout in LAYOUTS}
    rows: dict[str, Any] = {}
    with engine_of(built_in) as presets, engine_of(clone) as clones:
        for engine in (presets, clones):  # first uses
            reference = Reference.of(recording(3, 99), WORDS[3]) if engine is clones else None
            first_audio(engine, request(0, frames, reference=reference))
        for number in range(rounds):
            for layout, x_vector_only in LAYOUTS.items():
                words = "" if x_vector_only else WORDS[seconds]
                reference = Reference.of(recording(seconds, number), words, x_vector_only=x_vector_only)
                kinds = times[layout]
                kinds["built_in"].append(first_audio(presets, request(number, frames)))
                kinds["first"].append(first_audio(clones, request(number, frames, reference=reference)))
                kinds["second"].append(first_audio(clones, request(number + 1, frames, reference=reference)))
                voice = held_voice(clones, reference)
                prepared = clones._input_processor.prepare(
                    clones._input_processor.check(request(0, frames, reference=reference))
                )
                assert prepared.prompt.prefix
                rows[layout] = {"prompt": len(prepared.prompt.embeddings), "prefix": prepared.prompt.prefix.tokens}
                voice.shared.drop_prefixes()
                kinds["without_prefix"].append(first_audio(clones, request(number, frames, reference=reference)))
                if number < STOCK_ROUNDS:
                    kinds["stock"].append(stock_seconds(package, reference, number, frames))
            print(f"  round {number + 1} of {rounds}", flush=True)
    return {layout: {"rows": rows[layout], **summary(kinds)} for layout, kinds in times.items()}


def summary(kinds: dict[str, list[float]]) -> dict[str, Any]:
    """Return the median milliseconds of each kind, and the median ratios to the built-in voice of the same round."""
    base = kinds["built_in"]
    ratios = {
        kind: round(median(each / preset for each, preset in zip(values, base, strict=False)), 2)
        for kind, values in kinds.items()
        if kind != "built_in"
    }
    return {
        "ttfa_cpu_ms": {kind: round(1e3 * median(values), 1) for kind, values in kinds.items()},
        "to_built_in": ratios,
        "stock_to_second": round(median(s / o for s, o in zip(kinds["stock"], kinds["second"], strict=False)), 1),
    }


def main() -> None:
    """Run and write the results; `--quick` is one round of tiny checkpoints with the shorter recordings."""
    parser = argparse.ArgumentParser(prog="scripts/bench clones")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=1, help="of torch; the matrices are too small for more")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "clones.json")
    arguments = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(arguments.threads)
    size, rounds = ("tiny", 1) if arguments.quick else ("thin", 9)
    figures: dict[str, Any] = {
        "threads": arguments.threads, "dtype": RUNTIME.dtype, "size": size, "rounds": rounds,
        "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        built_in, clone = Path(folder, "built_in"), Path(folder, "clone")
        write_checkpoint(built_in, "custom_voice", SHAPES[size]["0.6B"], endless=True)
        write_checkpoint(clone, "base", SHAPES[size]["0.6B"], endless=True)
        for seconds in (3,) if arguments.quick else (3, 10):
            print(f"recordings of {seconds} s")
            key = f"recordings of {seconds} s"
            figures[key] = measure(built_in, clone, seconds=seconds, frames=24, rounds=rounds)
            print(figures[key])
    write(arguments.json, figures)


if __name__ == "__main__":
    main()
