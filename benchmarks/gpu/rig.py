"""A checkpoint with random weights on the device, and the engine's parts on it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import torch

from adapters.inflight.cuda_streams import disable_cudnn_attention
from adapters.qwen3_tts.checkpoint import Checkpoint
from adapters.qwen3_tts.frames import FRAME_SECONDS
from adapters.qwen3_tts.inflight.codec.decoder import CodecDecoder
from adapters.qwen3_tts.inflight.codec.streaming import StreamingCodec
from adapters.qwen3_tts.inflight.device.graphs import Graphs
from adapters.qwen3_tts.inflight.engine import InflightEngine
from adapters.qwen3_tts.inflight.io.input_processor import InputProcessor, PreparedInput
from adapters.qwen3_tts.inflight.model.stepper import FrameStepper
from adapters.qwen3_tts.inflight.model.weights import Weights
from adapters.qwen3_tts.inflight.scheduling.chunk_schedule import CHUNK_SCHEDULES, ChunkSchedule
from adapters.qwen3_tts.inflight.settings import EngineSettings
from adapters.triton.speech_request import SpeechRequest
from benchmarks.gpu.engine_client import PlaybackClient
from benchmarks.gpu.steps import BenchOptions
from benchmarks.gpu.timing import synchronize
from benchmarks.utterances import TEXT, VOICES
from tools.tiny_models.config import Kind
from tools.tiny_models.qwen3_tts import write_checkpoint
from tools.tiny_models.shapes import SHAPES
from tritone.contract import SpeechOptions
from tritone.errors import Overloaded

POSITIONS = 512
"""Positions of a slot: a prompt, and at least 30 seconds of speech."""
_PROGRESS_SECONDS = 5.0
CHUNK_SCHEDULE = CHUNK_SCHEDULES["latency"]
"""The default of the engine."""


class Rig:
    """A checkpoint of one size. Everything is loaded once, at its first use."""

    def __init__(self, size: str, options: BenchOptions) -> None:
        self.size = size
        self.options = options
        self.device = torch.device(options.device)
        self.dtype: torch.dtype = getattr(torch, options.dtype)
        disable_cudnn_attention(self.device)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint, written if it is missing. It never draws the end token."""
        return Checkpoint.read(write(self.size, self.options))

    @cached_property
    def weights(self) -> Weights:
        """The weights, in the measured precision."""
        return Weights.load(self.checkpoint.folder, self.options.device, self.dtype)

    @cached_property
    def decoder(self) -> CodecDecoder:
        """The codec's decoder."""
        return CodecDecoder.load(self.weights)

    @cached_property
    def input_processor(self) -> InputProcessor:
        """The input processor of the engine."""
        return InputProcessor(self.checkpoint, self.weights, None)

    def request(self, index: int, frames: int) -> SpeechRequest:
        """Return a request of so many frames."""
        options = SpeechOptions(max_new_tokens=frames + 1, seed=index)
        return SpeechRequest(TEXT.format(index), VOICES[index % len(VOICES)], "en", speed=1.0, options=options)

    def prepared(self, index: int) -> PreparedInput:
        """Return the prepared input of a request."""
        with torch.inference_mode():
            return self.input_processor.prepare(self.input_processor.check(self.request(index, frames=1)))

    def stepper(self, slots: int, *, graphs: bool = True) -> FrameStepper:
        """Make a stepper with power-of-two batch sizes and urgent graphs, as in the engine."""
        own = self.graphs(enabled=graphs, urgent=True)
        return FrameStepper(self.weights, slots=slots, positions=POSITIONS, buckets=buckets(slots), graphs=own)

    def codec(self, slots: int, *, graphs: bool = True) -> StreamingCodec:
        """Make a streaming codec."""
        return StreamingCodec(self.decoder, slots=slots, graphs=self.graphs(enabled=graphs))

    def graphs(self, *, enabled: bool, urgent: bool = False) -> Graphs:
        """Make graphs for one CUDA stream."""
        return Graphs(self.device, enabled=enabled, urgent=urgent)

    @contextmanager
    def engine(
        self, slots: int, queue: int = 0, chunk_schedule: ChunkSchedule = CHUNK_SCHEDULE
    ) -> Iterator[InflightEngine]:
        """Run the engine, with everything captured."""
        environ = {"QWEN_SLOTS": slots, "QWEN_KV_POSITIONS": POSITIONS, "QWEN_QUEUE": queue, "QWEN_QUEUE_SECONDS": 600}
        settings = EngineSettings.read(self.options.device, {name: str(value) for name, value in environ.items()})
        input_processor, stepper, codec = self.input_processor, self.stepper(slots), self.codec(slots)
        stepper.capture(Progress("frames"))
        codec.capture(chunk_schedule.sizes, Progress("audio"))
        synchronize(self.device)  # the parts were made on another stream than the engine's
        engine = InflightEngine(
            input_processor,
            stepper,
            codec,
            limits=settings.limits,
            chunk_schedule=chunk_schedule,
            runaway_frames=0,  # codes of random weights repeat, and may be silent
            prefill_tokens=settings.prefill_tokens,
            device=self.device,
        )
        try:
            yield engine
        finally:
            engine.close()

    def submit(self, engine: InflightEngine, index: int, frames: int, requested: float | None = None) -> PlaybackClient:
        """Submit a request. The returned client gets the audio, or the rejection.

        `requested`: the time at which it was to be submitted, by default now; checking it belongs to its time.
        """
        client = PlaybackClient(requested)
        try:
            engine.synthesize(self.input_processor.check(self.request(index, frames)), client)
        except Overloaded as error:
            client.fail(error)
        return client


def buckets(most: int) -> tuple[int, ...]:
    """Return the powers of two up to `most`."""
    return tuple(1 << power for power in range(most.bit_length()) if 1 << power <= most)


def write(size: str, options: BenchOptions, kind: Kind = "custom_voice") -> Path:
    """Return the folder of the checkpoint of a size, written if it is missing."""
    folder = options.folder / f"Qwen3-TTS-12Hz-{size}-{'Base' if kind == 'base' else 'CustomVoice'}"
    if not (folder / "speech_tokenizer" / "model.safetensors").exists():
        shape = SHAPES[options.shapes][size]  # type: ignore[index]
        write_checkpoint(folder, kind, shape, device=options.device, endless=True)
    return folder


def audio_seconds(frames: int) -> float:
    """Return the seconds of so many frames."""
    return frames * FRAME_SECONDS


class Progress:
    """Prints the progress of the captures every few seconds, to stderr: some processes answer on stdout."""

    def __init__(self, work: str) -> None:
        self._work = work
        self._began = self._printed = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Print, if it is time; the last line gives the seconds in all."""
        now = time.monotonic()
        if now - self._printed >= _PROGRESS_SECONDS or done == total:
            self._printed = now
            seconds = f"{now - self._began:.0f} s"
            print(f"    captures of {self._work}: {done} of {total} after {seconds}", file=sys.stderr, flush=True)
