"""A checkpoint with random weights on the device, and the engine's parts on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import torch

from adapters.qwen3_tts.checkpoint import Checkpoint
from adapters.qwen3_tts.inflight.codec import CodecDecoder, StreamingCodec
from adapters.qwen3_tts.inflight.cuda import attend_without_cudnn
from adapters.qwen3_tts.inflight.engine import InflightEngine
from adapters.qwen3_tts.inflight.frame import FrameStepper
from adapters.qwen3_tts.inflight.graphs import Graphs
from adapters.qwen3_tts.inflight.guards import Guards
from adapters.qwen3_tts.inflight.preparation import Preparation
from adapters.qwen3_tts.inflight.profiles import PROFILES
from adapters.qwen3_tts.inflight.settings import Settings
from adapters.qwen3_tts.inflight.stream import FRAME_SECONDS, Prepared
from adapters.qwen3_tts.inflight.weights import Weights
from adapters.triton.speech import SpeechRequest
from benchmarks.gpu.listener import Listener
from benchmarks.gpu.steps import Options
from benchmarks.gpu.timing import synchronize
from benchmarks.utterances import TEXT, VOICES
from tools.tiny_models.qwen3_tts import write_checkpoint
from tools.tiny_models.shapes import SHAPES
from tritone.contract import SpeechOptions
from tritone.errors import Overloaded

POSITIONS = 512
"""Of a slot: a prompt, and 30 seconds of speech or more."""
PROFILE = PROFILES["latency"]
"""The engine's default."""


class Rig:
    """One size of checkpoint; what is loaded of it is loaded once."""

    def __init__(self, size: str, options: Options) -> None:
        self.size = size
        self.options = options
        self.device = torch.device(options.device)
        self.dtype: torch.dtype = getattr(torch, options.dtype)
        attend_without_cudnn(self.device)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """Written where it is not there yet; its utterances never end by themselves."""
        return Checkpoint.read(write(self.size, self.options))

    @cached_property
    def weights(self) -> Weights:
        """In the precision that is measured."""
        return Weights.load(self.checkpoint.folder, self.options.device, self.dtype)

    @cached_property
    def decoder(self) -> CodecDecoder:
        """The codec's."""
        return CodecDecoder.of(self.weights)

    @cached_property
    def preparation(self) -> Preparation:
        """From requests to prompts."""
        return Preparation(self.checkpoint, self.weights, None)

    def request(self, index: int, frames: int) -> SpeechRequest:
        """An utterance of so many frames."""
        options = SpeechOptions(max_new_tokens=frames + 1, seed=index)
        return SpeechRequest(TEXT.format(index), VOICES[index % len(VOICES)], "en", speed=1.0, options=options)

    def prepared(self, index: int) -> Prepared:
        """Its prompt, and how it draws."""
        with torch.inference_mode():
            return self.preparation.prepare(self.preparation.utterance(self.request(index, frames=1)))

    def stepper(self, slots: int, *, graphs: bool = True) -> FrameStepper:
        """Whose batches have a power of two of rows, and which goes before all else, as in the engine."""
        own = self.graphs(enabled=graphs, urgent=True)
        return FrameStepper(self.weights, slots=slots, positions=POSITIONS, buckets=buckets(slots), graphs=own)

    def codec(self, slots: int, *, graphs: bool = True) -> StreamingCodec:
        """Likewise."""
        return StreamingCodec(self.decoder, slots=slots, graphs=self.graphs(enabled=graphs))

    def graphs(self, *, enabled: bool, urgent: bool = False) -> Graphs:
        """For one CUDA stream."""
        return Graphs(self.device, enabled=enabled, urgent=urgent)

    @contextmanager
    def engine(self, slots: int, queue: int = 0) -> Iterator[InflightEngine]:
        """The engine, with everything captured."""
        asked = {"QWEN_SLOTS": slots, "QWEN_KV_POSITIONS": POSITIONS, "QWEN_QUEUE": queue, "QWEN_QUEUE_SECONDS": 600}
        settings = Settings.read(self.options.device, {name: str(value) for name, value in asked.items()})
        preparation, stepper, codec = self.preparation, self.stepper(slots), self.codec(slots)
        stepper.capture(silent)
        codec.capture(settings.profile.sizes, silent)
        synchronize(self.device)  # all that was done here was done on another stream than the engine's
        engine = InflightEngine(
            preparation,
            stepper,
            codec,
            limits=settings.limits,
            profile=settings.profile,
            guards=Guards(0),  # noise repeats itself, and may be silent
            prefill_tokens=settings.prefill_tokens,
            device=self.device,
        )
        try:
            yield engine
        finally:
            engine.close()

    def speak(self, engine: InflightEngine, index: int, frames: int) -> Listener:
        """Ask for an utterance; the answer comes to the listener."""
        utterance = self.preparation.utterance(self.request(index, frames))
        listener = Listener()
        try:
            engine.speak(utterance, listener)
        except Overloaded as error:
            listener.fail(error)
        return listener


def buckets(most: int) -> tuple[int, ...]:
    """Powers of two up to `most`."""
    return tuple(1 << power for power in range(most.bit_length()) if 1 << power <= most)


def write(size: str, options: Options) -> Path:
    """The folder of the checkpoint of a size, made where it is not there."""
    folder = options.folder / f"Qwen3-TTS-12Hz-{size}-CustomVoice"
    if not (folder / "speech_tokenizer" / "model.safetensors").exists():
        shape = SHAPES[options.shapes][size]  # type: ignore[index]
        write_checkpoint(folder, "custom_voice", shape, device=options.device, endless=True)
    return folder


def audio_seconds(frames: int) -> float:
    """Of so many frames."""
    return frames * FRAME_SECONDS


def silent(done: int, of: int) -> None:
    """Progress that nobody hears of."""
