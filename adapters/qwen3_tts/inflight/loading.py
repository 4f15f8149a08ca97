"""From a checkpoint to a running engine; on a GPU with its graphs, and with word of the memory that all of it takes."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import torch
import triton_python_backend_utils as pb_utils

from adapters.qwen3_tts.checkpoint import Checkpoint
from adapters.qwen3_tts.inflight.codec import CodecDecoder, StreamingCodec
from adapters.qwen3_tts.inflight.cuda import attend_without_cudnn
from adapters.qwen3_tts.inflight.engine import InflightEngine
from adapters.qwen3_tts.inflight.frame import FrameStepper
from adapters.qwen3_tts.inflight.graphs import Graphs
from adapters.qwen3_tts.inflight.preparation import Preparation
from adapters.qwen3_tts.inflight.settings import Settings
from adapters.qwen3_tts.inflight.voices import VoiceCache, VoiceEncoder
from adapters.qwen3_tts.inflight.weights import Weights
from adapters.qwen3_tts.runtime import Runtime

_GB = 1 << 30
_NEWS_SECONDS = 5.0
"""Between two lines about progress."""


class Parts(NamedTuple):
    """What of an engine has memory for each slot, and graphs."""

    stepper: FrameStepper
    codec: StreamingCodec


class MemoryLedger:
    """What took how much of a GPU, in GB of 2^30 bytes, as far as nobody else takes or gives any meanwhile."""

    def __init__(self, read: Callable[[], tuple[int, int]] = torch.cuda.mem_get_info) -> None:
        """`read` gives the bytes that are free, and all that there are."""
        self._read = read
        self._free, _ = read()
        self._taken: list[str] = []

    def enter(self, what: str) -> None:
        """Whatever was taken since the last entry is for `what`."""
        before, (self._free, _) = self._free, self._read()
        self._taken.append(f"{what} {(before - self._free) / _GB:.1f} GB")

    def __str__(self) -> str:
        return f"{', '.join(self._taken)}; {self._free / _GB:.1f} GB of the GPU are free"


def load_engine(checkpoint: Checkpoint, runtime: Runtime, settings: Settings, **defaults: str) -> InflightEngine:
    """The engine of a checkpoint; `defaults` are those of `Preparation`. Raises what is wrong with its files."""
    device, limits = torch.device(runtime.device), settings.limits
    on_gpu = device.type == "cuda"
    attend_without_cudnn(device)
    with torch.cuda.device(device) if on_gpu else nullcontext():
        ledger = MemoryLedger() if on_gpu else None
        weights = Weights.load(checkpoint.folder, runtime.device, getattr(torch, runtime.dtype))
        decoder = CodecDecoder.of(weights)
        voices = None
        if checkpoint.mode == "voice_clone":
            voices = VoiceCache(VoiceEncoder(weights, decoder), max_bytes=settings.voice_cache_bytes)
        preparation = Preparation(checkpoint, weights, voices, **defaults)

        def make(graphs: bool) -> Parts:
            return Parts(
                FrameStepper(
                    weights,
                    slots=limits.slots,
                    positions=limits.positions,
                    graphs=Graphs(device, enabled=graphs, urgent=True),
                ),
                StreamingCodec(decoder, slots=limits.slots, graphs=Graphs(device, enabled=graphs)),
            )

        if ledger is None:
            parts = make(False)
        else:
            torch.cuda.empty_cache()  # matrices were joined, and other models may want what the parts took
            ledger.enter("weights")
            parts = parts_on_gpu(make, settings, ledger)
            torch.cuda.synchronize()  # all that was done here was done on another stream than the engine's
            pb_utils.Logger.log_info(f"{checkpoint.folder.name}: {ledger}")
        return InflightEngine(
            preparation,
            *parts,
            limits=limits,
            profile=settings.profile,
            guards=settings.guards,
            prefill_tokens=settings.prefill_tokens,
            device=device,
        )


def parts_on_gpu(make: Callable[[bool], Parts], settings: Settings, ledger: MemoryLedger) -> Parts:
    """The parts that `make` makes, with graphs where they are wanted and can be, and with all done once."""
    parts = make(settings.graphs)
    ledger.enter(f"{settings.limits.slots} streams of {settings.limits.positions} positions")
    if not _capture(parts, settings.profile.sizes):
        del parts  # there may be no room for both
        gc.collect()
        torch.cuda.empty_cache()
        parts = make(False)
    ledger.enter("graphs" if settings.graphs else "kernels")
    return parts


def _capture(parts: Parts, sizes: Sequence[int]) -> bool:
    """Compile all kernels and capture all graphs, the codec's for chunks of `sizes`; whether that went well."""
    try:
        parts.stepper.capture(_Progress("frames"))
        parts.codec.capture(sizes, _Progress("audio"))
    except Exception as error:
        reason = error.__context__ or error  # CUDA says no more than that a capture has failed
        pb_utils.Logger.log_warn(f"the model speaks without CUDA graphs, and slower: {reason}")
        return False
    return True


class _Progress:
    """Tells how far it has come, a line every few seconds."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._told = time.monotonic()

    def __call__(self, done: int, of: int) -> None:
        now = time.monotonic()
        if done == of or now - self._told >= _NEWS_SECONDS:
            self._told = now
            pb_utils.Logger.log_info(f"preparing the GPU for {self._what}: {done} of {of} shapes")
