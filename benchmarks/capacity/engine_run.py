"""`python -m benchmarks.capacity.engine_run` in the environment `qwen`: load the real engine, and measure it.

Prints one JSON line: the times of requests that arrive at random, on a random checkpoint with as many layers as the
real one (`thin`), and the speeds of the engine in the same run. All seconds are the engine's (`EngineClock`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "stand_ins"))

from adapters.qwen3_tts.checkpoint import Checkpoint  # noqa: E402
from adapters.qwen3_tts.inflight.engine import InflightEngine  # noqa: E402
from adapters.qwen3_tts.inflight.io.input_processor import InputProcessor  # noqa: E402
from adapters.qwen3_tts.inflight.loading import load_engine  # noqa: E402
from adapters.qwen3_tts.inflight.model.weights import Weights  # noqa: E402
from adapters.qwen3_tts.inflight.settings import EngineSettings  # noqa: E402
from adapters.qwen3_tts.runtime import Hardware, Runtime  # noqa: E402
from adapters.triton.metrics import Metrics  # noqa: E402
from adapters.triton.response_stream import ResponseStream  # noqa: E402
from adapters.triton.speech_request import SpeechRequest  # noqa: E402
from benchmarks.capacity.engine_meter import EngineClock, WorkMeter  # noqa: E402
from benchmarks.capacity.traffic import steady  # noqa: E402
from benchmarks.engine import Client, synthesize  # noqa: E402
from benchmarks.utterances import TEXT, VOICES  # noqa: E402
from tools.tiny_models.qwen3_tts import write_checkpoint  # noqa: E402
from tools.tiny_models.shapes import SHAPES  # noqa: E402
from tritone.contract import SpeechOptions  # noqa: E402

SLOTS = 8
POSITIONS = 256
FRAMES = 40
LONGEST = POSITIONS - 96
SETTINGS = EngineSettings.read(
    "cpu",
    {
        "QWEN_SLOTS": str(SLOTS),
        "QWEN_KV_POSITIONS": str(POSITIONS),
        "QWEN_QUEUE": "4096",
        "QWEN_QUEUE_SECONDS": "3600",
        "QWEN_RUNAWAY_SECONDS": "0",  # greedy codes of random weights repeat
    },
)


def request(index: int, frames: int) -> SpeechRequest:
    """Return a request for so many frames."""
    options = SpeechOptions(temperature=0.0, max_new_tokens=frames + 1)
    return SpeechRequest(TEXT.format(index), VOICES[index % len(VOICES)], "en", 1.0, options=options)


def build(folder: Path) -> tuple[InflightEngine, int]:
    """Return the engine with a random checkpoint, and the tokens of a prompt."""
    write_checkpoint(folder, "custom_voice", SHAPES["thin"]["0.6B"])
    checkpoint = Checkpoint.read(folder)
    processor = InputProcessor(checkpoint, Weights.load(folder), None)
    prompt = processor.prepare(processor.check(request(0, FRAMES))).prompt
    engine = load_engine(checkpoint, Runtime.choose(Hardware("cpu", None, flash_attention=False), {}), SETTINGS)
    return engine, len(prompt.embeddings)


def capacity(engine: InflightEngine, clock: EngineClock) -> float:
    """Return the requests a second of a full engine: two rounds of as many as it has slots, of the mean length."""
    began = clock()
    synthesize(engine, [request(index, FRAMES) for index in range(2 * SLOTS)])
    return 2 * SLOTS / (clock() - began)


def load(engine: InflightEngine, clock: EngineClock, rate: float, duration: float, seed: int) -> list[dict[str, float]]:
    """Send requests at random times, and return for each its time, its frames, its first audio and its end."""
    planned = steady(rate, duration, seed, mean=FRAMES)
    metrics, began = Metrics("bench", "speech"), clock()
    sent: list[tuple[int, Client]] = []
    for index, each in enumerate(planned):
        frames = min(each.frames, LONGEST)
        clock.sleep_until(began + each.at)
        client = Client(clock)
        engine.submit(request(index, frames), ResponseStream(client, metrics))
        sent.append((frames, client))
    for _, client in sent:
        client.wait()
    return [
        {
            "at": client.submitted - began,
            "frames": frames,
            "first_audio": client.first - began,
            "ended": client.last - began,
        }
        for frames, client in sent
    ]


def main() -> None:
    """Load the engine, and print its times, its speeds in the same run, and the share of a core that it had."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--load", type=float, default=0.4, help="share of the engine's capacity")
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        engine, prompt_tokens = build(Path(folder))
        synthesize(engine, [request(0, 8)])
        clock, meter = EngineClock(engine), WorkMeter(engine)
        rate = given.load * capacity(engine, clock)
        meter.clear()
        began, wall = clock(), time.perf_counter()
        sent = load(engine, clock, rate, given.seconds, seed=7)
        share = (clock() - began) / (time.perf_counter() - wall)
        engine.close()
    speeds = meter.speeds(prompt_tokens) | {
        "first_frames": SETTINGS.chunk_schedule.size(0),
        "slots": SLOTS,
        "prefill_tokens": SETTINGS.prefill_tokens,
    }
    print(json.dumps({"speeds": speeds, "rate": rate, "seconds_a_wall_second": share, "requests": sent}))


if __name__ == "__main__":
    main()
