"""A process that measures Whisper in one precision; `whisper` starts it. It prints the figures as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gpu.bare import prepare
from benchmarks.gpu.steps import BenchOptions, options_from

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

    from adapters.triton.transcriber import WindowRequest

CALLERS = 8
_SECONDS, _TOKENS = 30, 100
"""The length of a window, and of its text: that of 30 s of quick speech."""
_LIMIT = 0.02
"""The largest relative error of the encoder in float16, compared with float32 on the CPU."""


def measure(options: BenchOptions, precision: str) -> dict[str, Any]:
    """Return the figures: times of one window, of eight under a lock, and of eight as a batch."""
    from adapters.whisper.transcriber import WhisperTranscriber  # noqa: PLC0415 - only now can it be imported

    whisper = _load(options, options.device, precision)
    whisper.max_length = 2 * options.pick(_TOKENS, 10)  # CTranslate2 leaves half of it to the prompt
    transcriber = WhisperTranscriber(whisper)
    windows = _windows()
    batch = transcriber.transcribe(windows)
    alone = [transcriber.transcribe([window])[0] for window in windows]
    texts = [["".join(segment.text for segment in each.segments) for each in each_way] for each_way in (batch, alone)]

    def lock() -> None:
        for window in windows:
            transcriber.transcribe([window])

    rounds = options.pick(5, 1)
    under_lock, as_batch = _in_turns(rounds, lock, lambda: transcriber.transcribe(windows))
    encoding = [_in_turns(rounds, lambda n=n: _encode(whisper, windows[:n]))[0] for n in (1, CALLERS)]  # type: ignore[misc]
    segments = [segment for transcript in batch for segment in transcript.segments]
    return {
        "compute_type": whisper.model.compute_type,
        "callers": CALLERS,
        "window_seconds": _SECONDS,
        "tokens": [len(segment.tokens) for segment in segments],
        "at_first_attempt": sum(segment.temperature == 0 for segment in segments),
        "one_window_ms": round(1e3 * under_lock / CALLERS, 2),
        "under_a_lock_ms": round(1e3 * under_lock, 2),
        "as_a_batch_ms": round(1e3 * as_batch, 2),
        "times_as_fast": round(under_lock / as_batch, 2),
        "times_real_time": round(CALLERS * _SECONDS / as_batch, 1),
        "encode_1_ms": round(1e3 * encoding[0], 2),
        f"encode_{CALLERS}_ms": round(1e3 * encoding[1], 2),
        "same_texts": sum(ours == theirs for ours, theirs in zip(*texts, strict=True)),
        **_compared(options, whisper, windows[0], precision),
    }


def _windows() -> Sequence[WindowRequest]:
    """Return a window of noise for each caller."""
    from adapters.triton.transcriber import WindowRequest  # noqa: PLC0415 - only now can it be imported
    from tritone.contract import LISTEN_RATE, TranscriptionOptions  # noqa: PLC0415 - only now can it be imported

    random = np.random.default_rng(2)
    return [
        WindowRequest(
            random.normal(0, 0.1, _SECONDS * LISTEN_RATE).astype(np.float32), TranscriptionOptions(language="en")
        )
        for _ in range(CALLERS)
    ]


def _load(options: BenchOptions, device: str, precision: str) -> WhisperModel:
    """Load the checkpoint, which is written if it is missing."""
    from faster_whisper import WhisperModel  # noqa: PLC0415 - only now can it be imported

    from benchmarks.gpu.whisper_checkpoint import TINY, TURBO, write  # noqa: PLC0415 - only now can it be imported

    folder = options.folder / f"whisper-{options.shapes}"
    if not folder.exists():
        write(folder, TURBO if options.shapes == "full" else TINY)
    kind, _, index = device.partition(":")
    return WhisperModel(
        str(folder),
        device=kind,
        device_index=int(index or 0),
        compute_type=precision,
        cpu_threads=options.pick(0, 1),
        local_files_only=True,
    )


def _encode(whisper: WhisperModel, windows: Sequence[WindowRequest]) -> Any:
    """Return the encoder's output on the host, (windows, positions, width)."""
    from adapters.whisper.decoding import batch  # noqa: PLC0415 - only now can it be imported

    frames = whisper.feature_extractor.nb_max_frames
    features = [whisper.feature_extractor(window.audio)[:, :frames] for window in windows]
    return np.asarray(whisper.model.encode(batch(features), to_cpu=True))


def _in_turns(rounds: int, *works: Callable[[], object]) -> list[float]:
    """Return the median seconds of each work; they take turns."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, taken in zip(works, seconds, strict=True):
            began = time.perf_counter()
            work()
            taken.append(time.perf_counter() - began)
    return [median(each) for each in seconds]


def _compared(options: BenchOptions, whisper: WhisperModel, window: WindowRequest, precision: str) -> dict[str, Any]:
    """Compare the encoder with float32 on the CPU; only 16 bits must be close."""
    exact = _encode(_load(options, "cpu", "float32"), [window]).astype(np.float64)
    error = float(np.linalg.norm(_encode(whisper, [window]) - exact) / np.linalg.norm(exact))
    figures: dict[str, Any] = {"encoder_error": float(f"{error:.3e}")}
    return figures | ({"right": error < _LIMIT} if precision in ("float16", "float32") else {})


if __name__ == "__main__":
    given = options_from(sys.argv[1])
    prepare(given.site)
    print(json.dumps(measure(given, sys.argv[2])))
