"""From a checkpoint to a running engine; on a GPU with its graphs, and a log line of the memory of each part."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import torch
import triton_python_backend_utils as pb_utils

from adapters.inflight.cuda_streams import disable_cudnn_attention
from adapters.qwen3_tts.checkpoint import Checkpoint
from adapters.qwen3_tts.inflight.codec.decoder import CodecDecoder
from adapters.qwen3_tts.inflight.codec.streaming import StreamingCodec
from adapters.qwen3_tts.inflight.device.graphs import Graphs
from adapters.qwen3_tts.inflight.engine import InflightEngine
from adapters.qwen3_tts.inflight.io.input_processor import InputProcessor
from adapters.qwen3_tts.inflight.io.voice_cache import VoiceCache, VoiceEncoder
from adapters.qwen3_tts.inflight.model.stepper import FrameStepper
from adapters.qwen3_tts.inflight.model.weights import Weights
from adapters.qwen3_tts.inflight.settings import EngineSettings
from adapters.qwen3_tts.runtime import Runtime

_GB = 1 << 30
_LOG_SECONDS = 5.0
"""Between two log lines about progress."""


class Parts(NamedTuple):
    """The parts of an engine that have memory for each slot, and graphs."""

    stepper: FrameStepper
    codec: StreamingCodec


class MemoryLedger:
    """GPU memory by its use, in GB of 2^30 bytes. Exact only while no other process allocates or frees memory."""

    def __init__(self, read: Callable[[], tuple[int, int]] = torch.cuda.mem_get_info) -> None:
        """`read` returns the free and the total bytes."""
        self._read = read
        self._free, _ = read()
        self._taken: list[str] = []

    def record(self, use: str) -> None:
        """Book the memory that was taken since the last entry on `use`."""
        before, (self._free, _) = self._free, self._read()
        self._taken.append(f"{use} {(before - self._free) / _GB:.1f} GB")

    def __str__(self) -> str:
        return f"{', '.join(self._taken)}; {self._free / _GB:.1f} GB of the GPU are free"


def load_engine(checkpoint: Checkpoint, runtime: Runtime, settings: EngineSettings, **defaults: str) -> InflightEngine:
    """Load a checkpoint and start its engine; `defaults` as in `InputProcessor`. Raises errors of the files."""
    device, limits = torch.device(runtime.device), settings.limits
    on_gpu = device.type == "cuda"
    disable_cudnn_attention(device)
    with torch.cuda.device(device) if on_gpu else nullcontext():
        ledger = MemoryLedger() if on_gpu else None
        weights = Weights.load(checkpoint.folder, runtime.device, getattr(torch, runtime.dtype))
        decoder = CodecDecoder.load(weights)
        voices = None
        if weights.encoders:
            voices = VoiceCache(VoiceEncoder(weights.encoders, decoder), max_bytes=settings.voice_cache_bytes)
        input_processor = InputProcessor(checkpoint, weights, voices, **defaults)

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
            torch.cuda.empty_cache()  # joining matrices left free blocks, which other models may need
            ledger.record("weights")
            parts = parts_on_gpu(make, settings, ledger)
            torch.cuda.synchronize()  # the parts were made on another stream than the engine's
            pb_utils.Logger.log_info(f"{checkpoint.folder.name}: {ledger}")
        return InflightEngine(
            input_processor,
            *parts,
            limits=limits,
            chunk_schedule=settings.chunk_schedule,
            runaway_frames=settings.runaway_frames,
            prefill_tokens=settings.prefill_tokens,
            device=device,
        )


def parts_on_gpu(make: Callable[[bool], Parts], settings: EngineSettings, ledger: MemoryLedger) -> Parts:
    """Make the parts, with graphs if wanted and possible, compiled and captured. `make`: use graphs -> parts."""
    parts = make(settings.graphs)
    ledger.record(f"{settings.limits.slots} streams of {settings.limits.positions} positions")
    if not _capture(parts, settings.chunk_schedule.sizes):
        del parts  # there may be no room for both
        gc.collect()
        torch.cuda.empty_cache()
        parts = make(False)
    ledger.record("graphs" if settings.graphs else "kernels")
    return parts


def _capture(parts: Parts, sizes: Sequence[int]) -> bool:
    """Compile all kernels and capture all graphs, the codec's for chunks of `sizes`. Return False if that failed."""
    try:
        parts.stepper.capture(_ProgressLog("frames"))
        parts.codec.capture(sizes, _ProgressLog("audio"))
    except Exception as error:
        reason = error.__context__ or error  # CUDA's own error says no more than that a capture has failed
        pb_utils.Logger.log_warn(f"CUDA graphs disabled, synthesis will be slower: {reason}")
        return False
    return True


class _ProgressLog:
    """Logs progress, at most one line every few seconds."""

    def __init__(self, work: str) -> None:
        self._work = work
        self._logged_at = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done == total or now - self._logged_at >= _LOG_SECONDS:
            self._logged_at = now
            pb_utils.Logger.log_info(f"preparing the GPU for {self._work}: {done} of {total} shapes")
