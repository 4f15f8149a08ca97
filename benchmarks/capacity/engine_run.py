"""`python -m benchmarks.capacity.engine_run` in the environment `qwen`: measure the real engine, and load it.

Prints one JSON line: the speeds of the engine on a random checkpoint with as many layers as the real one (`thin`), and
the times of requests that arrive at random. The speeds are measured before and after, because the machine's change.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

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
MEASURE_SECONDS = 8.0
"""For each number of streams. At the end of it some streams are alone, which makes a frame look a little slower."""
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
FIRST_FRAMES = SETTINGS.chunk_schedule.size(0)


def request(index: int, frames: int) -> SpeechRequest:
    """Return a request for so many frames."""
    options = SpeechOptions(temperature=0.0, max_new_tokens=frames + 1)
    return SpeechRequest(TEXT.format(index), VOICES[index % len(VOICES)], "en", 1.0, options=options)


def build(folder: Path) -> tuple[InflightEngine, int]:
    """Return the engine with a random checkpoint, and the pieces in which it reads a request."""
    write_checkpoint(folder, "custom_voice", SHAPES["thin"]["0.6B"])
    checkpoint = Checkpoint.read(folder)
    processor = InputProcessor(checkpoint, Weights.load(folder), None)
    prompt = processor.prepare(processor.check(request(0, FRAMES))).prompt
    engine = load_engine(checkpoint, Runtime.choose(Hardware("cpu", None, flash_attention=False), {}), SETTINGS)
    return engine, math.ceil(len(prompt.embeddings) / SETTINGS.prefill_tokens)


def speeds(engine: InflightEngine) -> dict[str, Any]:
    """Measure the seconds of a prefill, and those of a frame with numbers of streams that began at different times."""
    first = median(each.first - each.submitted for i in range(9) for each in synthesize(engine, [request(i, 8)]))
    frame: dict[int, float] = {}
    prefill = 0.0
    for streams in (1, 2, 4, SLOTS):
        took, frames, requests = _closed_loop(engine, streams)
        if not prefill:
            # Two equations: the first audio of a request that is alone, and the whole time of such requests.
            alone = (took - requests * first) / (frames - requests * FIRST_FRAMES)
            prefill = max(0.0, first - FIRST_FRAMES * alone)
        frame[streams] = (took - requests * prefill) * streams / frames
    return {"frame_seconds": frame, "prefill_seconds": prefill}


def _closed_loop(engine: InflightEngine, streams: int) -> tuple[float, int, int]:
    """Keep so many streams busy; return the seconds, and the frames and requests of that time."""
    lengths = iter([min(each.frames, LONGEST) for each in steady(100.0, 60.0, seed=streams, mean=FRAMES)])
    counted = [0, 0]
    lock, until = threading.Lock(), time.perf_counter() + MEASURE_SECONDS

    def client() -> None:
        while time.perf_counter() < until:
            with lock:
                frames = next(lengths)
                counted[0] += frames
                counted[1] += 1
            synthesize(engine, [request(frames, frames)])

    began = time.perf_counter()
    threads = [threading.Thread(target=client) for _ in range(streams)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began, counted[0], counted[1]


def load(engine: InflightEngine, rate: float, duration: float, seed: int) -> list[dict[str, float]]:
    """Send requests at random times, and return for each its time, its frames, its first audio and its end."""
    planned = steady(rate, duration, seed, mean=FRAMES)
    metrics, began = Metrics("bench", "speech"), time.perf_counter()
    sent: list[tuple[float, int, Client]] = []
    for index, each in enumerate(planned):
        frames = min(each.frames, LONGEST)
        time.sleep(max(0.0, began + each.at - time.perf_counter()))
        client = Client()
        engine.submit(request(index, frames), ResponseStream(client, metrics))
        sent.append((client.submitted - began, frames, client))
    for _, _, client in sent:
        client.wait()
    return [
        {"at": at, "frames": frames, "first_audio": client.first - began, "ended": client.last - began}
        for at, frames, client in sent
    ]


def main() -> None:
    """Measure, load, measure again, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--load", type=float, default=0.4, help="share of the engine's capacity")
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        engine, pieces = build(Path(folder))
        synthesize(engine, [request(0, 8)])
        before = speeds(engine)
        full = before["frame_seconds"][SLOTS]
        rate = given.load / (FRAMES * full / SLOTS + before["prefill_seconds"])
        sent = load(engine, rate, given.seconds, seed=7)
        after = speeds(engine)
        engine.close()
    measured = {
        "frame_seconds": {
            streams: (value + after["frame_seconds"][streams]) / 2 for streams, value in before["frame_seconds"].items()
        },
        "prefill_seconds": (before["prefill_seconds"] + after["prefill_seconds"]) / 2,
        "first_frames": FIRST_FRAMES,
        "slots": SLOTS,
        "prefill_pieces": pieces,
    }
    print(json.dumps({"before": before, "after": after, "speeds": measured, "rate": rate, "requests": sent}))


if __name__ == "__main__":
    main()
