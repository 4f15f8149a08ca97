"""`scripts/bench engine [--quick] [--json FILE]`: the in-flight engine against the published package, on the CPU.

Takes two to five minutes on two cores: after `ROUNDS_SECONDS` of a size no round is begun, and at least one is made.

Both speak the same texts with the same random weights, greedily, to the same number of frames, from text to audio: the
codes must be equal. `tiny` has few layers; `thin` has as many as the real models and the same operations a frame, so
that it shows what launching them costs. Every speed is a ratio to the package in the same run:

- `speedup`: frames a second of so many streams at once, over the package's one at a time.
- `static_batch_speedup`: the same requests arriving one after the other within the time that the package needs for one,
  over the package's own batches, which wait for the longest and take nobody in.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.report import write

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "stand_ins"))

from adapters.qwen3_tts.checkpoint import Checkpoint  # noqa: E402
from adapters.qwen3_tts.engine import QwenEngine  # noqa: E402
from adapters.qwen3_tts.inflight.codec import CodecDecoder, StreamingCodec  # noqa: E402
from adapters.qwen3_tts.inflight.engine import InflightEngine  # noqa: E402
from adapters.qwen3_tts.inflight.frame import Frames, FrameStepper  # noqa: E402
from adapters.qwen3_tts.inflight.guards import Guards  # noqa: E402
from adapters.qwen3_tts.inflight.preparation import Preparation  # noqa: E402
from adapters.qwen3_tts.inflight.profiles import PROFILES  # noqa: E402
from adapters.qwen3_tts.inflight.prompt import Prompt  # noqa: E402
from adapters.qwen3_tts.inflight.sampling import Sampling  # noqa: E402
from adapters.qwen3_tts.inflight.scheduler import Limits  # noqa: E402
from adapters.qwen3_tts.inflight.settings import Settings  # noqa: E402
from adapters.qwen3_tts.inflight.weights import Weights  # noqa: E402
from adapters.qwen3_tts.runtime import Hardware, Runtime  # noqa: E402
from adapters.qwen3_tts.stock import StockModel  # noqa: E402
from adapters.qwen3_tts.synthesizer import Synthesizer  # noqa: E402
from adapters.triton.metrics import Metrics  # noqa: E402
from adapters.triton.speech import Engine, Reply, SpeechRequest  # noqa: E402
from benchmarks.utterances import TEXT, VOICES  # noqa: E402
from tests.stand_ins.triton_python_backend_utils import ResponseSender  # noqa: E402
from tools.tiny_models.qwen3_tts import write_checkpoint  # noqa: E402
from tools.tiny_models.shapes import SHAPES  # noqa: E402
from tritone.contract import SpeechOptions  # noqa: E402

Codes = NDArray[np.int64]

STREAMS = (1, 4, 8, 16)
PROFILE = "latency"
ROUNDS_SECONDS = 90
"""For the rounds of one size, beside which its codes are compared and its operations counted."""
_VIEWS = {
    "view", "_unsafe_view", "expand", "slice", "transpose", "unsqueeze", "squeeze", "select", "t", "permute", "alias",
    "split", "as_strided", "reshape", "detach", "unbind", "split_with_sizes", "lift_fresh",
}  # fmt: skip
"""Operations that move no numbers."""


def requests(frames: int) -> list[SpeechRequest]:
    """What is spoken: as many texts as there are streams, of `frames` frames on the average."""
    lengths = [round(frames * (0.5 + i % 4 / 3)) for i in range(max(STREAMS))]
    return [
        SpeechRequest(
            text=TEXT.format(i),
            voice=VOICES[i % len(VOICES)],
            language="en",
            speed=1.0,
            options=SpeechOptions(temperature=0.0, max_new_tokens=length + 1),
        )
        for i, length in enumerate(lengths)
    ]


class Caller(ResponseSender):
    """Knows when its audio came."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = time.perf_counter()
        self.first = self.last = 0.0

    def send(self, response: Any = None, flags: int = 0) -> None:
        """Take a response."""
        self.last = time.perf_counter()
        self.first = self.first or self.last
        super().send(response, flags)

    def wait(self) -> None:
        """Wait for the end; raises the error that it may be."""
        self.ended.wait()
        if error := self.sent[-1].error():
            raise error


class TappedStepper(FrameStepper):
    """Keeps the codes of each utterance."""

    def __init__(self, taken: list[Any], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._taken, self._by_slot = taken, defaultdict[int, list[Codes]](list)

    def open(self, slot: int, prompt: Prompt, sampling: Sampling) -> None:
        """As ever."""
        super().open(slot, prompt, sampling)
        self._by_slot[slot] = []
        self._taken.append(self._by_slot[slot])

    def step(self, slots: Sequence[int]) -> Frames:
        """As ever."""
        frames = super().step(slots)
        for slot, row, ended in zip(slots, frames.codes.numpy(), frames.ended.tolist(), strict=True):
            if not ended:
                self._by_slot[slot].append(row)
        return frames


@dataclass
class Bench:
    """Both engines on one checkpoint."""

    checkpoint: Checkpoint
    runtime: Runtime
    taken: list[Any] = field(default_factory=list)
    """The codes of every utterance, frames of (16,), in the order of their beginnings."""

    def __post_init__(self) -> None:
        self.synthesizer = Synthesizer(StockModel.load(self.checkpoint, self.runtime), self.checkpoint)
        tokenizer = self.synthesizer._model.model.speech_tokenizer
        decode = tokenizer.decode

        def tapped(encoded: Any) -> Any:
            self.taken += [each["audio_codes"].numpy() for each in encoded]
            return decode(encoded)

        tokenizer.decode = tapped
        self.weights = Weights.load(self.checkpoint.folder)

    @contextmanager
    def stock(self, max_batch: int) -> Iterator[Engine]:
        """The package."""
        engine = QwenEngine(self.synthesizer, max_requests=64, max_batch=max_batch)
        yield engine
        engine.close()

    @contextmanager
    def inflight(self, positions: int) -> Iterator[InflightEngine]:
        """The in-flight engine."""
        slots = max(STREAMS)
        engine = InflightEngine(
            Preparation(self.checkpoint, self.weights, None),
            TappedStepper(self.taken, weights=self.weights, slots=slots, positions=positions),
            StreamingCodec(CodecDecoder(self.weights.speech_tokenizer.decoder), slots=slots),
            limits=Limits(slots=slots, positions=positions, queue=64, queue_seconds=600, batch=slots),
            profile=PROFILES[PROFILE],
            guards=Guards(0),  # greedy speech of random weights repeats itself
            prefill_tokens=Settings.read("cpu", {}).prefill_tokens,
        )
        yield engine
        engine.close()

    def codes_of(
        self, engine: Engine, asked: Sequence[SpeechRequest], counts: Sequence[int], *, together: bool = False
    ) -> list[Codes]:
        """What the engine makes of each request, cut to its frames: it looks one further for the end."""
        self.taken.clear()
        for batch in [asked] if together else [[request] for request in asked]:
            speak(engine, batch)
        return [np.stack(list(frames))[:count] for frames, count in zip(self.taken, counts, strict=True)]


def speak(engine: Engine, asked: Sequence[SpeechRequest], gap: float = 0.0) -> list[Caller]:
    """Send requests `gap` seconds apart, and wait for all."""
    callers, metrics, started = [], Metrics("bench"), time.perf_counter()
    for index, request in enumerate(asked):
        time.sleep(max(0.0, started + index * gap - time.perf_counter()))
        caller = Caller()
        engine.submit(request, Reply(caller, metrics))
        callers.append(caller)
    for caller in callers:
        caller.wait()
    return callers


def seconds(callers: Sequence[Caller]) -> float:
    """From the first request to the last audio."""
    return max(caller.last for caller in callers) - callers[0].asked


def measure(bench: Bench, frames: int, rounds: int) -> dict[str, Any]:
    """All figures of one checkpoint; stock and engine in turns."""
    asked = requests(frames)
    counts = [request.options.max_new_tokens - 1 for request in asked if request.options.max_new_tokens]
    with bench.stock(1) as alone, bench.stock(max(STREAMS)) as batched, bench.inflight(2 * frames + 128) as inflight:
        speak(batched, asked[:2])
        speak(inflight, asked[:2])
        hashes = {
            "stock": digest(bench.codes_of(alone, asked, counts)),
            "engine": digest(bench.codes_of(inflight, asked, counts)),
            "engine_together": digest(bench.codes_of(inflight, asked, counts, together=True)),
        }
        speedup, static = (defaultdict[int, list[float]](list) for _ in range(2))
        ttfa = defaultdict[str, list[float]](list)
        until = time.perf_counter() + ROUNDS_SECONDS
        for turn in range(rounds):
            if turn and time.perf_counter() > until:
                break
            picked = range(turn % 4, len(asked), 4)
            callers = [speak(alone, [asked[i]])[0] for i in picked]
            stock_seconds = [seconds([caller]) for caller in callers]
            stock_rate = sum(counts[i] for i in picked) / sum(stock_seconds)
            ttfa["stock"] += [caller.first - caller.asked for caller in callers]
            for n in STREAMS:
                callers = speak(inflight, asked[:n])
                speedup[n].append(sum(counts[:n]) / seconds(callers) / stock_rate)
                if n == 1:
                    ttfa["engine"].append(callers[0].first - callers[0].asked)
                gap = median(stock_seconds) / n
                static[n].append(seconds(speak(batched, asked[:n], gap)) / seconds(speak(inflight, asked[:n], gap)))
            print(f"  round {turn + 1} of {rounds}", flush=True)
        cancel_ms = round(1e3 * median(seconds_to_free(inflight, asked[3]) for _ in range(5)), 1)
    return {
        "frames": counts,
        "rounds": len(ttfa["engine"]),
        "speedup": {str(n): round(median(speedup[n]), 2) for n in STREAMS},
        "static_batch_speedup": {str(n): round(median(static[n]), 2) for n in STREAMS},
        "ops_per_frame": ops_per_frame(bench),
        "ttfa_ms": {name: round(1e3 * median(times), 1) for name, times in ttfa.items()},
        "cancel_ms": cancel_ms,
        "codes_equal": len(set(hashes.values())) == 1,
        "codes_sha256": hashes,
    }


def seconds_to_free(engine: InflightEngine, request: SpeechRequest) -> float:
    """From a caller's leaving, in the midst of its audio, until its slot is free."""
    caller = Caller()
    engine.submit(request, Reply(caller, Metrics("bench")))
    while not caller.first:
        time.sleep(1e-4)
    caller.cancelled, left = True, time.perf_counter()
    while engine.stats().load.active:
        time.sleep(1e-4)
    return time.perf_counter() - left


def digest(codes: Sequence[Codes]) -> str:
    """A hash of all codes of all utterances."""
    whole = hashlib.sha256()
    for utterance in codes:
        whole.update(len(utterance).to_bytes(4, "little"))
        whole.update(np.ascontiguousarray(utterance, np.int64).data)
    return whole.hexdigest()


class _Counter(TorchDispatchMode):  # type: ignore[misc]  # torch is not installed where the types are checked
    """Counts the operations that compute something."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func._schema.name.split("::")[1] not in _VIEWS
        return func(*args, **(kwargs or {}))


def ops_per_frame(bench: Bench) -> dict[str, int]:
    """Operations of a frame of one stream, without the codec: what 20 frames more take, divided by 20."""

    def counted(work: Callable[[int], None]) -> int:
        totals: list[int] = []
        for frames in (10, 30):
            with _Counter() as counter:
                work(frames)
            totals.append(counter.count)
        return round((totals[1] - totals[0]) / 20)

    model = bench.synthesizer._model
    model.watch = None
    tokenizer, (request, *_) = model.model.speech_tokenizer, requests(40)
    decode, tokenizer.decode = tokenizer.decode, lambda encoded: ([np.zeros(1, np.float32)] * len(encoded), 24_000)

    def stock(frames: int) -> None:
        model.generate_custom_voice(
            text=request.text, speaker="ryan", language="english", max_new_tokens=frames + 1, do_sample=False,
            subtalker_dosample=False,
        )  # fmt: skip

    preparation = Preparation(bench.checkpoint, bench.weights, None)
    prepared = preparation.prepare(preparation.utterance(request))
    stepper = FrameStepper(bench.weights, slots=1, positions=256)

    def inflight(frames: int) -> None:
        stepper.prefill(0, prepared.prompt, prepared.sampling)
        for _ in range(frames):
            stepper.step([0])
        stepper.release(0)

    figures = {"stock": counted(stock), "engine": counted(inflight)}
    tokenizer.decode = decode
    return figures


def main() -> None:
    """Run and write; `--quick` is one round of short utterances."""
    parser = argparse.ArgumentParser(prog="scripts/bench engine")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=1, help="of torch; the matrices are too small for more")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "engine.json")
    arguments = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(arguments.threads)
    frames, rounds = (24, 1) if arguments.quick else (40, 3)
    runtime = Runtime.choose(Hardware("cpu", None, flash_attention=False), {})
    conditions = {"threads": arguments.threads, "dtype": runtime.dtype, "profile": PROFILE}
    figures: dict[str, Any] = {}
    for size in ("thin", "tiny"):
        print(f"{size}: {rounds} rounds of {max(STREAMS)} utterances")
        with tempfile.TemporaryDirectory() as folder:
            write_checkpoint(Path(folder), "custom_voice", SHAPES[size]["0.6B"])
            figures[size] = measure(Bench(Checkpoint.read(Path(folder)), runtime), frames, rounds)
        print({name: value for name, value in figures[size].items() if name not in ("frames", "codes_sha256")})
    write(arguments.json, {**conditions, **figures})
    if not all(figures[size]["codes_equal"] for size in ("thin", "tiny")):
        raise SystemExit("the codes differ: the engine does not compute what the package does")


if __name__ == "__main__":
    main()
