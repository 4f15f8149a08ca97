"""Kokoro in torch with random weights: sentences of many callers at once, through the engine, without the front end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, ClassVar, cast

import numpy as np
import torch
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from adapters.kokoro.gpu.module import Kokoro
from adapters.kokoro.gpu.network import GpuNetwork
from adapters.kokoro.synthesis import FRAME
from adapters.speech.engine import PartByPartEngine
from adapters.speech.pipeline import SpeechPiece, SpeechPipeline, SpokenPiece
from adapters.speech.text_splitter import Break
from adapters.triton.metrics import Metrics
from adapters.triton.response_stream import ResponseStream
from adapters.triton.speech_request import SpeechRequest
from benchmarks.gpu.steps import BenchOptions, Step
from tritone.contract import SPEECH_RATE, SpeechDescription

_AT_ONCE = (1, 8, 32, 64)
_TOKENS, _QUICK_TOKENS = (40, 80), (4, 8)
"""The least and the most tokens of a sentence: about 3 to 6 seconds of speech."""
_FRAMES_PER_TOKEN = 2.8
"""Somewhat more than the 2.3 to 2.6 of English sentences, in two voices at the usual speed."""
_BATCH_FRAMES = 8192
_WIDTHS = {"full": 512, "thin": 128, "tiny": 64}
_ROUNDS, _PATIENCE = 5, 300.0


def steps(options: BenchOptions) -> Iterator[Step]:
    """Measure each precision, with graphs and, in the first one, without."""
    device = torch.device(options.device)
    precisions = ("float32",) if device.type == "cpu" else ("float32", "float16", "bfloat16")
    for precision in precisions:
        network = _network(options, device, getattr(torch, precision), graphs=True)
        yield Step(f"{precision}, capture", 60, partial(_capture, network))
        for callers in options.pick(_AT_ONCE, _AT_ONCE[:2]):
            yield Step(f"{precision}, {callers} at once", 10, partial(_measure, options, network, callers))
    plain = _network(options, device, torch.float32, graphs=False)
    yield Step("float32, 1 at once, without graphs", 10, partial(_measure, options, plain, 1))


@dataclass(frozen=True, kw_only=True)
class _Sentence(SpeechPiece):
    tokens: list[int]


class _Pipeline(SpeechPipeline[_Sentence]):
    """Gives each request a sentence of random tokens, by the number that is its text."""

    frame_samples: ClassVar[int] = FRAME
    description = SpeechDescription((), (), "", (1.0, 1.0))

    def __init__(self, network: GpuNetwork, lengths: tuple[int, int]) -> None:
        self._network = network
        self._lengths = lengths

    def pieces(self, request: SpeechRequest) -> list[_Sentence]:
        random = np.random.default_rng(int(request.text))
        tokens = random.integers(1, 178, random.integers(*self._lengths, endpoint=True)).tolist()
        return [_Sentence(text_tokens=len(tokens), end=Break.SENTENCE, tokens=tokens)]

    def synthesize(self, piece: _Sentence) -> NDArray[np.float32]:
        return self.speak(piece).samples

    def speak(self, piece: _Sentence) -> SpokenPiece:
        return self.speak_all([piece])[0]

    def speak_all(self, pieces: Sequence[_Sentence]) -> list[SpokenPiece]:
        style = np.full((1, 256), 0.1, np.float32)
        spoken = self._network.speak_all([(piece.tokens, style, 1.0) for piece in pieces])
        return [SpokenPiece(samples) for samples, _ in spoken]


class _Sender:
    """A caller's side of a request, in place of Triton's sender: notes the time of the first audio, and counts it."""

    def __init__(self) -> None:
        self.first = 0.0
        self.seconds = 0.0
        self.ended = threading.Event()

    def send(self, response: Any = None, flags: int = 0) -> None:
        self.first = self.first or time.perf_counter()
        for tensor in response.output_tensors() if response else ():
            if tensor.name() == "audio":
                self.seconds += tensor.as_numpy().size / SPEECH_RATE
        if flags == pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL:
            self.ended.set()

    def is_cancelled(self) -> bool:
        return False


def _network(options: BenchOptions, device: torch.device, dtype: torch.dtype, *, graphs: bool) -> GpuNetwork:
    """Return a network with random weights, and with the durations of usual speech."""
    torch.manual_seed(0)
    module = Kokoro(_WIDTHS[options.shapes])
    torch.nn.init.zeros_(module.predictor.duration_proj.weight)
    share = torch.tensor(_FRAMES_PER_TOKEN / 50)
    torch.nn.init.constant_(module.predictor.duration_proj.bias, float(torch.logit(share)))
    torch.nn.init.constant_(module.predictor.F0_proj.bias, 150)  # Hz
    return GpuNetwork(module.prepare(device, dtype), _no_phonemes, device, batch_frames=_BATCH_FRAMES, graphs=graphs)


def _capture(network: GpuNetwork) -> dict[str, Any]:
    return {"graphs": network.capture()}


def _no_phonemes(phonemes: str) -> list[int]:
    raise ValueError(f"the benchmark speaks tokens, not {phonemes!r}")


def _measure(options: BenchOptions, network: GpuNetwork, callers: int) -> dict[str, Any]:
    """Return figures of rounds in which each of so many callers sends a sentence at the same time."""
    pipeline = _Pipeline(network, options.pick(_TOKENS, _QUICK_TOKENS))
    engine = PartByPartEngine(pipeline, max_requests=callers, most_together=64)
    try:
        rounds = [_round(engine, callers) for _ in range(1 + options.pick(_ROUNDS, 1))][1:]  # the first one captures
    finally:
        engine.close()
    firsts = sorted(first for _, _, each in rounds for first in each)
    return {
        "audio_seconds_per_second": round(median(audio / seconds for audio, seconds, _ in rounds), 1),
        "ttfa_ms": round(1000 * median(firsts), 1),
        "ttfa_p95_ms": round(1000 * firsts[int(0.95 * (len(firsts) - 1))], 1),
        "audio_seconds": round(rounds[0][0], 1),
        "rows_per_batch": round(engine.counts().items / engine.counts().batches, 1),
    }


def _round(engine: PartByPartEngine[_Sentence], callers: int) -> tuple[float, float, list[float]]:
    """Return the seconds of audio, those that the round took, and those to each caller's first audio."""
    senders = [_Sender() for _ in range(callers)]
    begun = time.perf_counter()
    for number, sender in enumerate(senders):
        stream = ResponseStream(cast("Any", sender), Metrics("kokoro", "speech"))
        engine.submit(SpeechRequest(str(number), voice="", language="auto", speed=1.0), stream)
    for sender in senders:
        if not sender.ended.wait(_PATIENCE):
            raise TimeoutError(f"a sentence took more than {_PATIENCE:.0f} s")
    ended = time.perf_counter()
    return sum(sender.seconds for sender in senders), ended - begun, [sender.first - begun for sender in senders]
