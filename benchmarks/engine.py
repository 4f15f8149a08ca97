"""`scripts/bench engine [--quick] [--json FILE]`: the in-flight engine compared with the published package, on the CPU.

Takes two to five minutes on two cores: after `ROUNDS_SECONDS` of a size no further round starts; each size has at least
one.

Both engines synthesize the same texts with the same random weights, greedily, to the same number of frames, from text
to audio. Their codes must be equal. `tiny` has few layers; `thin` has as many as the real models, and the same
operations per frame, so it shows the cost of launches. Every speed is a ratio to the package in the same run:

- `speedup`: frames per second of so many simultaneous streams, divided by those of the package, one request at a time.
- `static_batch_speedup`: the same requests, arriving one after the other within the time that the package needs for
  one, compared with the package's own batches, which wait for their longest row and admit no later request.
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
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.operations import OperationCounter
from benchmarks.report import write

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "stand_ins"))

from adapters.inflight.scheduler import Limits  # noqa: E402
from adapters.qwen3_tts.checkpoint import Checkpoint  # noqa: E402
from adapters.qwen3_tts.inflight.codec.decoder import CodecDecoder  # noqa: E402
from adapters.qwen3_tts.inflight.codec.streaming import StreamingCodec  # noqa: E402
from adapters.qwen3_tts.inflight.engine import InflightEngine  # noqa: E402
from adapters.qwen3_tts.inflight.io.input_processor import InputProcessor  # noqa: E402
from adapters.qwen3_tts.inflight.model.prompt import Prompt  # noqa: E402
from adapters.qwen3_tts.inflight.model.sampling_params import SamplingParams  # noqa: E402
from adapters.qwen3_tts.inflight.model.stepper import Frames, FrameStepper  # noqa: E402
from adapters.qwen3_tts.inflight.model.weights import Weights  # noqa: E402
from adapters.qwen3_tts.inflight.scheduling.chunk_schedule import CHUNK_SCHEDULES  # noqa: E402
from adapters.qwen3_tts.inflight.settings import EngineSettings  # noqa: E402
from adapters.qwen3_tts.runtime import Hardware, Runtime  # noqa: E402
from adapters.qwen3_tts.stock.batch_engine import StaticBatchEngine  # noqa: E402
from adapters.qwen3_tts.stock.package_model import PackageModel  # noqa: E402
from adapters.qwen3_tts.stock.package_runner import PackageRunner  # noqa: E402
from adapters.triton.metrics import Metrics  # noqa: E402
from adapters.triton.response_stream import ResponseStream  # noqa: E402
from adapters.triton.speech_engine import SpeechEngine  # noqa: E402
from adapters.triton.speech_request import SpeechRequest  # noqa: E402
from benchmarks.utterances import TEXT, VOICES  # noqa: E402
from tools.tiny_models.qwen3_tts import write_checkpoint  # noqa: E402
from tools.tiny_models.shapes import SHAPES  # noqa: E402
from tritone.contract import SpeechOptions  # noqa: E402

Codes = NDArray[np.int64]
stand_in: Any = import_module("triton_python_backend_utils")  # no server runs

STREAMS = (1, 4, 8, 16)
PROFILE = "latency"
ROUNDS_SECONDS = 90
"""Limit for the rounds of one size. Comparing codes and counting operations comes on top."""


def requests(frames: int, count: int) -> list[SpeechRequest]:
    """Return `count` requests with `frames` frames on average, if `count` is a multiple of four."""
    lengths = [round(frames * (0.5 + i % 4 / 3)) for i in range(count)]
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


class Client(stand_in.ResponseSender):  # type: ignore[misc]
    """A client that records when its audio arrives."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__()
        self._clock = clock
        self.submitted = clock()
        self.first = self.last = 0.0

    def send(self, response: Any = None, flags: int = 0) -> None:
        """Receive a response."""
        self.last = self._clock()
        self.first = self.first or self.last
        super().send(response, flags)

    def wait(self) -> None:
        """Wait for the end; raises the error of the response, if it is one."""
        self.ended.wait()
        if error := self.sent[-1].error():
            raise error


class RecordingStepper(FrameStepper):
    """Records the codes of each request."""

    def __init__(self, codes: list[Any], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._codes, self._by_slot = codes, defaultdict[int, list[Codes]](list)

    def open(self, slot: int, prompt: Prompt, sampling: SamplingParams) -> None:
        """Open a slot, and record its codes."""
        super().open(slot, prompt, sampling)
        self._by_slot[slot] = []
        self._codes.append(self._by_slot[slot])

    def step(self, slots: Sequence[int]) -> Frames:
        """Step, and record the codes."""
        frames = super().step(slots)
        for slot, row, ended in zip(slots, frames.codes.numpy(), frames.ended.tolist(), strict=True):
            if not ended:
                self._by_slot[slot].append(row)
        return frames


@dataclass
class EngineBench:
    """Both engines on one checkpoint."""

    checkpoint: Checkpoint
    runtime: Runtime
    codes: list[Any] = field(default_factory=list)
    """The codes of all requests, frames of (16,), in the order of their starts."""

    def __post_init__(self) -> None:
        self.runner = PackageRunner(PackageModel.load(self.checkpoint, self.runtime), self.checkpoint)
        tokenizer = self.runner._model.model.speech_tokenizer
        decode = tokenizer.decode

        def record(encoded: Any) -> Any:
            self.codes += [each["audio_codes"].numpy() for each in encoded]
            return decode(encoded)

        tokenizer.decode = record
        self.weights = Weights.load(self.checkpoint.folder)

    @contextmanager
    def stock(self, max_batch: int) -> Iterator[SpeechEngine]:
        """Run the package's engine."""
        engine = StaticBatchEngine(self.runner, max_requests=64, max_batch=max_batch)
        yield engine
        engine.close()

    @contextmanager
    def inflight(self, slots: int, positions: int) -> Iterator[InflightEngine]:
        """Run the in-flight engine."""
        engine = InflightEngine(
            InputProcessor(self.checkpoint, self.weights, None),
            RecordingStepper(self.codes, weights=self.weights, slots=slots, positions=positions),
            StreamingCodec(CodecDecoder.load(self.weights), slots=slots),
            limits=Limits(slots=slots, positions=positions, queue=64, queue_seconds=600),
            chunk_schedule=CHUNK_SCHEDULES[PROFILE],
            runaway_frames=0,  # greedy codes of random weights repeat
            prefill_tokens=EngineSettings.read("cpu", {}).prefill_tokens,
        )
        yield engine
        engine.close()

    def codes_of(
        self, engine: SpeechEngine, requested: Sequence[SpeechRequest], counts: Sequence[int], *, together: bool = False
    ) -> list[Codes]:
        """Return the engine's codes of each request, cut to its frames: it draws one more token for the end."""
        self.codes.clear()
        for batch in [requested] if together else [[request] for request in requested]:
            synthesize(engine, batch)
        return [np.stack(list(frames))[:count] for frames, count in zip(self.codes, counts, strict=True)]


def synthesize(engine: SpeechEngine, requested: Sequence[SpeechRequest], gap: float = 0.0) -> list[Client]:
    """Send requests `gap` seconds apart, and wait for all."""
    clients, metrics, started = [], Metrics("bench", "speech"), time.perf_counter()
    for index, request in enumerate(requested):
        time.sleep(max(0.0, started + index * gap - time.perf_counter()))
        client = Client()
        engine.submit(request, ResponseStream(client, metrics))
        clients.append(client)
    for client in clients:
        client.wait()
    return clients


def seconds(clients: Sequence[Client]) -> float:
    """Return the seconds from the first request to the last audio."""
    return max(client.last for client in clients) - clients[0].submitted


def measure(bench: EngineBench, frames: int, rounds: int, streams: Sequence[int]) -> dict[str, Any]:
    """Return all figures of one checkpoint, measured on both engines in turn with each number of `streams`."""
    slots, positions = max(streams), 2 * frames + 128
    requested = requests(frames, slots)
    counts = [request.options.max_new_tokens - 1 for request in requested if request.options.max_new_tokens]
    with bench.stock(1) as alone, bench.stock(slots) as batched, bench.inflight(slots, positions) as inflight:
        synthesize(batched, requested[:2])
        synthesize(inflight, requested[:2])
        hashes = {
            "stock": digest(bench.codes_of(alone, requested, counts)),
            "engine": digest(bench.codes_of(inflight, requested, counts)),
            "engine_together": digest(bench.codes_of(inflight, requested, counts, together=True)),
        }
        speedup, static = (defaultdict[int, list[float]](list) for _ in range(2))
        ttfa = defaultdict[str, list[float]](list)
        until = time.perf_counter() + ROUNDS_SECONDS
        for round_ in range(rounds):
            if round_ and time.perf_counter() > until:
                break
            picked = range(round_ % 4, len(requested), 4)
            clients = [synthesize(alone, [requested[i]])[0] for i in picked]
            stock_seconds = [seconds([client]) for client in clients]
            stock_rate = sum(counts[i] for i in picked) / sum(stock_seconds)
            ttfa["stock"] += [client.first - client.submitted for client in clients]
            for n in streams:
                clients = synthesize(inflight, requested[:n])
                speedup[n].append(sum(counts[:n]) / seconds(clients) / stock_rate)
                if n == 1:
                    ttfa["engine"].append(clients[0].first - clients[0].submitted)
                gap = median(stock_seconds) / n
                static[n].append(
                    seconds(synthesize(batched, requested[:n], gap)) / seconds(synthesize(inflight, requested[:n], gap))
                )
            print(f"  round {round_ + 1} of {rounds}", flush=True)
        cancel_ms = round(1e3 * median(seconds_to_free(inflight, requested[3]) for _ in range(5)), 1)
    return {
        "frames": counts,
        "rounds": len(ttfa["engine"]),
        "speedup": {str(n): round(median(speedup[n]), 2) for n in streams},
        "static_batch_speedup": {str(n): round(median(static[n]), 2) for n in streams},
        "ops_per_frame": ops_per_frame(bench),
        "ttfa_ms": {name: round(1e3 * median(times), 1) for name, times in ttfa.items()},
        "cancel_ms": cancel_ms,
        "codes_equal": len(set(hashes.values())) == 1,
        "codes_sha256": hashes,
    }


def seconds_to_free(engine: InflightEngine, request: SpeechRequest) -> float:
    """Return the seconds from a cancellation, in the middle of the audio, until the slot is free."""
    client = Client()
    engine.submit(request, ResponseStream(client, Metrics("bench", "speech")))
    while not client.first:
        time.sleep(1e-4)
    client.cancelled, cancelled_at = True, time.perf_counter()
    while engine.stats().load.active:
        time.sleep(1e-4)
    return time.perf_counter() - cancelled_at


def digest(codes: Sequence[Codes]) -> str:
    """Return a hash of all codes of all requests."""
    whole = hashlib.sha256()
    for utterance in codes:
        whole.update(len(utterance).to_bytes(4, "little"))
        whole.update(np.ascontiguousarray(utterance, np.int64).data)
    return whole.hexdigest()


def ops_per_frame(bench: EngineBench) -> dict[str, int]:
    """Count the operations of a frame of one stream, without the codec: the difference of 20 frames, divided by 20."""

    def counted(work: Callable[[int], None]) -> int:
        totals: list[int] = []
        for frames in (10, 30):
            with OperationCounter() as counter:
                work(frames)
            totals.append(counter.count)
        return round((totals[1] - totals[0]) / 20)

    model = bench.runner._model
    model.stopper = None
    tokenizer, (request, *_) = model.model.speech_tokenizer, requests(40, 1)
    decode, tokenizer.decode = tokenizer.decode, lambda encoded: ([np.zeros(1, np.float32)] * len(encoded), 24_000)

    def stock(frames: int) -> None:
        model.generate_custom_voice(
            text=request.text, speaker="ryan", language="english", max_new_tokens=frames + 1, do_sample=False,
            subtalker_dosample=False,
        )  # fmt: skip

    input_processor = InputProcessor(bench.checkpoint, bench.weights, None)
    prepared = input_processor.prepare(input_processor.check(request))
    stepper = FrameStepper(bench.weights, slots=1, positions=256)

    def inflight(frames: int) -> None:
        stepper.start(0, prepared.prompt, prepared.sampling)
        for _ in range(frames):
            stepper.step([0])
        stepper.release(0)

    figures = {"stock": counted(stock), "engine": counted(inflight)}
    tokenizer.decode = decode
    return figures


def main() -> None:
    """Run and write the results."""
    parser = argparse.ArgumentParser(prog="scripts/bench engine")
    parser.add_argument("--quick", action="store_true", help="one round of four short requests, `tiny` alone")
    parser.add_argument("--threads", type=int, default=1, help="of torch; the matrices are too small for more")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "engine.json")
    arguments = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(arguments.threads)
    frames, rounds, streams, sizes = (
        (8, 1, (1, 4), ("tiny",)) if arguments.quick else (40, 3, STREAMS, ("thin", "tiny"))
    )
    runtime = Runtime.choose(Hardware("cpu", None, flash_attention=False), {})
    conditions = {"threads": arguments.threads, "dtype": runtime.dtype, "profile": PROFILE}
    figures: dict[str, Any] = {}
    for size in sizes:
        print(f"{size}: {rounds} rounds of {max(streams)} utterances")
        with tempfile.TemporaryDirectory() as folder:
            write_checkpoint(Path(folder), "custom_voice", SHAPES[size]["0.6B"])
            figures[size] = measure(EngineBench(Checkpoint.read(Path(folder)), runtime), frames, rounds, streams)
        print({name: value for name, value in figures[size].items() if name not in ("frames", "codes_sha256")})
    write(arguments.json, {**conditions, **figures})
    if not all(figures[size]["codes_equal"] for size in sizes):
        raise SystemExit("the codes differ: the engine does not compute what the package does")


if __name__ == "__main__":
    main()
