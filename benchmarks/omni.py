"""`scripts/bench omni [--quick] [--json FILE]`: the engine of Qwen2.5-Omni beside the package's `generate`, on the CPU.

Takes one to three minutes. A random checkpoint has as many layers as the real one, but is narrow, so it shows the cost
of the operations around the products. Each window has its own length, of audio and of text; the most probable tokens
are drawn, and must be equal. Each speed is a ratio in the same run, of the tokens per second of CPU time (so that other
work on the machine changes little) with so many windows that arrive at once, from samples to text:

- `speedup`: to `generate`, one window after the other.
- `static_batch_speedup`: to `generate` of all windows as one batch, which waits for its longest row.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AutoTokenizer, Qwen2_5OmniThinkerForConditionalGeneration, WhisperFeatureExtractor

from benchmarks.report import write

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "stand_ins"))

from adapters.inflight.scheduler import Limits  # noqa: E402
from adapters.qwen2_5_omni.engine import OmniEngine  # noqa: E402
from adapters.qwen2_5_omni.loading import TextCollector  # noqa: E402
from adapters.qwen2_5_omni.prompt import SYSTEM, PromptBuilder, instruction  # noqa: E402
from adapters.qwen2_5_omni.settings import Defaults, EngineSettings  # noqa: E402
from adapters.qwen2_5_omni.stepper import TokenStepper  # noqa: E402
from adapters.qwen2_5_omni.weights import Weights  # noqa: E402
from adapters.triton.transcriber import WindowRequest  # noqa: E402
from tools.tiny_models.qwen2_5_omni import THIN, TINY, write_omni_checkpoint  # noqa: E402
from tritone.contract import LISTEN_RATE, TranscriptionDescription, TranscriptionOptions  # noqa: E402

WINDOWS = (1, 4, 8)
POSITIONS = 512
PENALTY = 1.1
ROUNDS_SECONDS = 60
"""After so many, no further round starts."""


def requests(tokens: int) -> list[WindowRequest]:
    """Return windows of 2 to 8 s with `tokens` tokens of text on average."""
    made = []
    for number in range(max(WINDOWS)):
        seconds, count = 2 + number % 4 * 2, round(tokens * (0.5 + number * 3 % 4 / 3))
        times = np.arange(seconds * LISTEN_RATE) / LISTEN_RATE
        audio = (0.3 * np.sin(2 * np.pi * (150 + 40 * number) * times)).astype(np.float32)
        made.append(WindowRequest(audio, TranscriptionOptions(temperature=0.0, max_new_tokens=count)))
    return made


@dataclass
class Stock:
    """The package."""

    model: Any
    tokenizer: Any
    extractor: Any

    @classmethod
    def load(cls, folder: Path) -> Stock:
        """Load the package's thinker."""
        model = Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        return cls(model.eval(), tokenizer, WhisperFeatureExtractor.from_pretrained(folder))

    def tokens_of(self, windows: Sequence[WindowRequest]) -> list[list[int]]:
        """Return the tokens of windows that are generated as one batch."""
        padded = [np.pad(window.audio, (0, self.extractor.n_fft)) for window in windows]
        features = self.extractor(
            padded, sampling_rate=LISTEN_RATE, padding="longest", truncation=False, return_tensors="pt"
        )["input_features"]
        frames = [len(window.audio) // self.extractor.hop_length for window in windows]
        mask = torch.arange(features.shape[-1])[None] < torch.tensor(frames)[:, None]
        texts = [
            f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n<|audio_bos|>"
            f"{'<|AUDIO|>' * (((count - 1) // 2 + 1 - 2) // 2 + 1)}<|audio_eos|>{instruction(window.options)}"
            "<|im_end|>\n<|im_start|>assistant\n"
            for window, count in zip(windows, frames, strict=True)
        ]
        prompt = self.tokenizer(texts, return_tensors="pt", padding=True)
        counts = [window.options.max_new_tokens or 0 for window in windows]
        generated = self.model.generate(
            input_ids=prompt["input_ids"],
            attention_mask=prompt["attention_mask"],
            input_features=features,
            feature_attention_mask=mask.long(),
            max_new_tokens=max(counts),
            do_sample=False,
            repetition_penalty=PENALTY,
            eos_token_id=None,  # random weights would end at any length
            pad_token_id=0,
        )
        rows = generated[:, prompt["input_ids"].shape[1] :].tolist()
        return [row[:count] for row, count in zip(rows, counts, strict=True)]


def start_engine(folder: Path) -> OmniEngine:
    """Start the engine on a checkpoint; it ends no text before its limit."""
    weights = Weights.load(folder)
    prompts = PromptBuilder(folder, weights)
    prompts.ends = frozenset()
    settings = EngineSettings(
        limits=Limits(max(WINDOWS), POSITIONS, 64, math.inf),
        prefill_tokens=EngineSettings.read("cpu", {}).prefill_tokens,
        repetition_tokens=0,
        window_seconds=60,
        defaults=Defaults(repetition_penalty=PENALTY),
    )
    stepper = TokenStepper(weights, slots=max(WINDOWS), positions=POSITIONS)
    description = TranscriptionDescription((), ("transcribe",), ())
    return OmniEngine(description, prompts, stepper, settings, device=torch.device("cpu"))


def transcribe(engine: OmniEngine, windows: Sequence[WindowRequest]) -> list[list[int]]:
    """Return the tokens of windows that arrive at once."""
    clients = []
    for window in windows:
        clients.append(TextCollector())
        engine.transcribe(window, clients[-1], timeout=math.inf)
    return [[token for segment in client.transcript().segments for token in segment.tokens] for client in clients]


def seconds_of(work: Callable[[], object]) -> float:
    """Return the CPU seconds of a call, in all threads."""
    started = time.process_time()
    work()
    return time.process_time() - started


def measure(folder: Path, tokens: int, seconds: float) -> dict[str, Any]:
    """Return the figures of one checkpoint; after `seconds` no further round starts, but there is one."""
    stock, engine, windows = Stock.load(folder), start_engine(folder), requests(tokens)
    try:
        alone = [stock.tokens_of([window])[0] for window in windows]
        equal = transcribe(engine, windows) == alone
        ratios: dict[int, list[float]] = {count: [] for count in WINDOWS}
        batch_ratios: dict[int, list[float]] = {count: [] for count in WINDOWS}
        pace: list[float] = []
        rounds, began = 0, time.monotonic()
        while not rounds or time.monotonic() - began < seconds:
            rounds += 1
            for count in WINDOWS:
                some = windows[:count]
                ours = seconds_of(lambda: transcribe(engine, some))  # noqa: B023 - it is called at once
                ratios[count].append(seconds_of(lambda: [stock.tokens_of([each]) for each in some]) / ours)  # noqa: B023
                batch_ratios[count].append(seconds_of(lambda: stock.tokens_of(some)) / ours)  # noqa: B023
            pace.append(sum(window.options.max_new_tokens or 0 for window in windows) / ours)
    finally:
        engine.close()
    return {
        "tokens": [window.options.max_new_tokens for window in windows],
        "audio_seconds": [window.seconds for window in windows],
        "rounds": rounds,
        "tokens_per_cpu_second": round(median(pace), 1),
        "speedup": {count: round(median(each), 2) for count, each in ratios.items()},
        "static_batch_speedup": {count: round(median(each), 2) for count, each in batch_ratios.items()},
        "tokens_equal": equal,
    }


def main() -> int:
    """Print the figures; return 1 if the tokens differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tiny checkpoint, short texts, one round: only a check")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of a computation (default: 1)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    transformers.logging.set_verbosity_error()  # it warns of the vision, which is not there
    size, shape, tokens, seconds = ("tiny", TINY, 8, 0) if arguments.quick else ("thin", THIN, 40, ROUNDS_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        write_omni_checkpoint(Path(folder, "checkpoint"), shape)
        load_before = os.getloadavg()[0]
        figures = measure(Path(folder, "checkpoint"), tokens, seconds)
    print(figures)
    if arguments.json:
        write(
            arguments.json,
            {"threads": arguments.threads, "dtype": "float32", "load": round(load_before, 1), size: figures},
        )
    return 0 if figures["tokens_equal"] else 1


if __name__ == "__main__":
    sys.exit(main())
