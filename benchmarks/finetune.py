"""`scripts/bench finetune [--quick] [--json FILE]`: fine-tuning beside the published script's step, on the CPU.

Takes about two minutes. A random checkpoint has as many layers as the real one, but is narrow, so it shows the cost of
the operations around the products. Both train on the same clips of 1 to 15 s, with optimiser steps of about as many
frames; each speed is in codec frames per second of CPU time, so that other work on the machine changes little:

- `published`: pairs of clips, padded to the longer one, through the package's own losses, four pairs a step.
- `ours`: clips packed by rows without padding, as many a step as have the frames of four pairs.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import transformers
from accelerate import Accelerator
from torch import Tensor

from benchmarks.report import write
from finetuning.dataset import Clip, Dataset
from finetuning.plan import TrainingPlan
from finetuning.training.batches import StepPlan
from finetuning.training.learner import Learner
from finetuning.training.rows import NONE, Rows, rows_of
from finetuning.training.start import Start
from finetuning.training.stepper import Stepper
from tools.tiny_models.qwen3_tts import write_checkpoint
from tools.tiny_models.shapes import SHAPES

PAIRS = 4
"""Batches of two clips in an optimiser step of the published script."""
SHORTEST, LONGEST = 12, 188
"""Frames of a clip: 1 to 15 s."""
FRAMES_PER_CHARACTER = 0.9
CPU = torch.device("cpu")


def dataset_of(folder: Path, clips: int, width: int) -> Dataset:
    """Return clips of random codes, with lengths spread evenly."""
    chance = np.random.default_rng(0)
    lengths = np.linspace(SHORTEST, LONGEST, clips).astype(int)
    chance.shuffle(lengths)
    texts = ["speak slowly " * 20] * clips
    made = [
        Clip(f"{i}", "", texts[i][: max(1, round(frames * FRAMES_PER_CHARACTER))], "minsu", "english")
        for i, frames in enumerate(lengths)
    ]
    codes = {clip.id: chance.integers(0, 64, (n, 16)).astype(np.int16) for clip, n in zip(made, lengths, strict=True)}
    return Dataset(folder, made, codes, {"minsu": np.zeros(width, np.float32)})


def ours(plan: TrainingPlan, dataset: Dataset, start: Start) -> Callable[[], int]:
    """Return a function that trains on all clips once and returns their frames."""
    learner = Learner.make(plan, dataset, start, CPU)
    steps = StepPlan(plan, dataset, start)
    end = start.talker_config["codec_eos_token_id"]
    stepper = Stepper(plan, learner, end, Accelerator(cpu=True))

    def run() -> int:
        frames = 0
        for number, step in enumerate(steps.after(0)):
            stepper.run(step, number, steps.steps)
            frames += step.frames
        return frames

    return run


def published(dataset: Dataset, start: Start) -> Callable[[], int]:
    """Return the same for the published script's step."""
    talker = start.load(dataset, CPU, text_dtype=torch.float32).requires_grad_(True).train()
    optimiser = torch.optim.AdamW(talker.parameters(), lr=2e-5, weight_decay=0.01)
    made = [rows_of(clip, dataset.codes[clip.id], start) for clip in dataset.clips]
    end = start.talker_config["codec_eos_token_id"]

    def run() -> int:
        for number, pair in enumerate(zip(made[::2], made[1::2], strict=True), 1):
            (_published_loss(talker, pair, end) / PAIRS).backward()
            if number % PAIRS == 0 or number * 2 == len(made):
                torch.nn.utils.clip_grad_norm_(talker.parameters(), 1.0)
                optimiser.step()
                optimiser.zero_grad()
        return dataset.frames(dataset.clips)

    return run


def _published_loss(talker: Any, pair: Sequence[Rows], end: int) -> Tensor:
    """Return the loss of a padded pair as the published script calls the package, but with projected text."""
    length = max(map(len, pair)) + 1
    text, code = torch.full((2, length), NONE), torch.full((2, length), NONE)
    rest, labels = torch.full((2, length, 15), NONE), torch.full((2, length), -100)
    mask = torch.zeros(2, length, dtype=torch.int64)
    for i, rows in enumerate(pair):
        size, first = len(rows), rows.first + 1
        codes = torch.from_numpy(rows.codes.astype(np.int64))
        text[i, :size], code[i, :size] = torch.tensor(rows.text), torch.tensor(rows.code)
        rest[i, first:size], labels[i, first:size], labels[i, size] = codes[:, 1:], codes[:, 0], end
        mask[i, : size + 1] = 1
    is_frame = rest[..., 0] != NONE
    inputs = talker.text_projection(talker.model.text_embedding(text.clamp(min=0))) * (text != NONE)[..., None]
    inputs = inputs + talker.model.codec_embedding(code.clamp(min=0)) * (code != NONE)[..., None]
    for book, table in enumerate(talker.code_predictor.get_input_embeddings()):
        inputs = inputs + table(rest[..., book].clamp(min=0)) * is_frame[..., None]
    made = talker(
        inputs_embeds=inputs[:, :-1], attention_mask=mask[:, :-1], labels=labels[:, 1:], output_hidden_states=True
    )
    hidden = made.hidden_states[0][-1][is_frame[:, :-1]]
    codes = torch.cat([torch.from_numpy(rows.codes.astype(np.int64)) for rows in pair])
    _, predictor_loss = talker.forward_sub_talker_finetune(codes, hidden)
    loss: Tensor = made.loss + 0.3 * predictor_loss
    return loss


def measure(start: Path, folder: Path, clips: int, rounds: int) -> dict[str, Any]:
    """Return the speeds in frames per second of CPU time, and their ratio."""
    width = SHAPES["thin"]["1.7B"].talker.hidden
    dataset = dataset_of(folder, clips, width)
    frames = dataset.frames(dataset.clips)
    described = Start.read(start, dataset)
    plan = TrainingPlan(start, precision="fp32", epochs=1, frames_per_step=round(frames / clips * 2 * PAIRS))
    runs = {"published": published(dataset, described), "ours": ours(plan, dataset, described)}
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):  # the first one warms up
        for name, run in runs.items():
            begun = time.process_time()
            done = run()
            if number:
                speeds[name].append(done / (time.process_time() - begun))
    medians = {name: median(values) for name, values in speeds.items()}
    return {
        "clips": clips,
        "frames": frames,
        "rounds": rounds,
        "frames_per_cpu_second": {name: round(value) for name, value in medians.items()},
        "speedup": round(medians["ours"] / medians["published"], 2),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tiny checkpoint and few clips: only a check")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of a computation (default: 1)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    transformers.logging.set_verbosity_error()
    size, clips, rounds = ("tiny", 4, 1) if arguments.quick else ("thin", 32, 3)
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(Path(folder, "start"), "base", SHAPES[size]["1.7B"])
        load_before = os.getloadavg()[0]
        figures = measure(Path(folder, "start"), Path(folder), clips, rounds)
    print(figures)
    if arguments.json:
        write(
            arguments.json,
            {"threads": arguments.threads, "dtype": "float32", "load": round(load_before, 1), size: figures},
        )


if __name__ == "__main__":
    main()
