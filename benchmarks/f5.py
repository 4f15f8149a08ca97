"""`scripts/bench f5 [--quick] [--json FILE]`: the engine of F5-TTS beside the package's `CFM.sample`, on the CPU.

Takes two minutes. A random checkpoint has as many layers as the real one, but is narrow, so it shows the cost of the
operations around the products. Each text has its own length and number of steps; the audio must be the package's, up
to rounding. `speedup` is a ratio in the same run, of the seconds of audio per second of CPU time (so that other work
on the machine changes little) with so many requests that arrive at once, to one `CFM.sample` after the other.

Batches help a CPU little: its cores are busy with one row. On a GPU they are what the engine is for.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.report import write

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "stand_ins"))

from adapters.f5_tts.checkpoint import load_networks  # noqa: E402
from adapters.f5_tts.engine import F5Engine  # noqa: E402
from adapters.f5_tts.settings import FAMILY, EngineSettings  # noqa: E402
from adapters.inflight.audio_collector import AudioCollector  # noqa: E402
from adapters.inflight.scheduler import Limits  # noqa: E402
from adapters.triton.references import Reference  # noqa: E402
from adapters.triton.speech_request import SpeechRequest  # noqa: E402
from tests.unit.adapters.f5_tts.judge import Judge, recording  # noqa: E402
from tools.tiny_models.f5_tts import F5_SHAPES, write_f5_checkpoint  # noqa: E402
from tritone.contract import SPEECH_RATE, SpeechOptions  # noqa: E402

REQUESTS = (1, 4, 8)
WORDS = "Some call me nature."
TOLERANCE = 0.01
"""Of the loudest sample: rounding adds up over all steps."""
ROUNDS_SECONDS = 40
"""After so many, no further round starts."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Order:
    """A request."""

    text: str
    voice: NDArray[np.float32]
    steps: int
    seed: int


def orders(steps: int) -> list[Order]:
    """Return requests of one part each, of several lengths, for voices of 1 to 1.4 s."""
    text = "I am a silent spectator, watching all of it."
    words = text.split()
    made = []
    for number in range(max(REQUESTS)):
        length = len(words) - number % 4
        voice = recording(1 + number % 3 / 5, 120 + 20 * number)
        made.append(Order(" ".join(words[:length]), voice, steps + 2 * (number % 2), number))
    return made


def start_engine(folder: Path) -> F5Engine:
    """Start the engine on a checkpoint."""
    defaults = EngineSettings.read("cpu", {})
    settings = EngineSettings(
        Limits(max(REQUESTS), 1, 64, 600),
        batch_frames=defaults.batch_frames,
        steps=defaults.steps,
        guidance=2.0,
        normalize=False,
    )
    networks = load_networks(folder, CPU, torch.float32)
    options = FAMILY.models["f5-tts"].options
    return F5Engine(networks, settings, options=options, device=CPU, dtype=torch.float32)


def synthesize(engine: F5Engine, wanted: Sequence[Order]) -> list[NDArray[np.float32]]:
    """Return the audio of requests that arrive at once."""
    clients = []
    for each in wanted:
        options = SpeechOptions(seed=each.seed, nfe_step=each.steps, ref_text=WORDS)
        reference = Reference.of(each.voice, WORDS)
        request = SpeechRequest.read(each.text.encode(), options, engine.description, 1000, reference=reference)
        clients.append(AudioCollector())
        engine.synthesize(request, clients[-1], timeout=math.inf)
    for client in clients:
        client.wait()
    return [client.samples() for client in clients]


def package(judge: Judge, wanted: Sequence[Order]) -> list[NDArray[np.float32]]:
    """Return the package's audio of requests, one after the other."""
    return [
        judge.speech(each.voice, f"{WORDS}  ", each.text, steps=each.steps, guidance=2.0, seed=each.seed, speed=1.0)
        for each in wanted
    ]


def measure(folder: Path, steps: int, seconds: float) -> dict[str, Any]:
    """Return the figures of one checkpoint; after `seconds` no further round starts, but there is one."""
    judge, engine, wanted = Judge(folder), start_engine(folder), orders(steps)
    try:
        alone = package(judge, wanted)
        difference = max(
            float(np.abs(ours - theirs).max() / np.abs(theirs).max())
            for ours, theirs in zip(synthesize(engine, wanted), alone, strict=True)
        )
        ratios: dict[int, list[float]] = {count: [] for count in REQUESTS}
        pace: list[float] = []
        rounds, began = 0, time.monotonic()
        while not rounds or time.monotonic() - began < seconds:
            rounds += 1
            for count in REQUESTS:
                some = wanted[:count]
                times = [time.process_time()]
                synthesize(engine, some)
                times.append(time.process_time())
                package(judge, some)
                times.append(time.process_time())
                ratios[count].append((times[2] - times[1]) / (times[1] - times[0]))
            pace.append(sum(map(len, alone)) / SPEECH_RATE / (times[1] - times[0]))
    finally:
        engine.close()
    return {
        "steps": [each.steps for each in wanted],
        "audio_seconds": [round(len(each) / SPEECH_RATE, 2) for each in alone],
        "rounds": rounds,
        "audio_seconds_per_cpu_second": round(median(pace), 2),
        "speedup": {count: round(median(each), 2) for count, each in ratios.items()},
        "largest_difference": round(difference, 6),
    }


def main() -> int:
    """Print the figures; return 1 if the audio differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tiny checkpoint and one round: only a check")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of a computation (default: 1)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    size, seconds = ("tiny", 0) if arguments.quick else ("thin", ROUNDS_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder, "F5TTS_v1_Base")
        write_f5_checkpoint(checkpoint, F5_SHAPES[size])
        load_before = os.getloadavg()[0]
        figures = measure(checkpoint, 4, seconds)
    print(figures)
    if arguments.json:
        write(
            arguments.json,
            {"threads": arguments.threads, "dtype": "float32", "load": round(load_before, 1), size: figures},
        )
    return 0 if figures["largest_difference"] < TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
