"""Checkpoints with random weights that learn by heart in seconds, and what they say when they are decoded greedily."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adapters.qwen3_tts.checkpoint import Checkpoint
from adapters.qwen3_tts.inflight.model.prompt import PromptBuilder
from adapters.qwen3_tts.inflight.model.sampling_params import SamplingParams
from adapters.qwen3_tts.inflight.model.weights import Weights
from adapters.qwen3_tts.runtime import Runtime
from adapters.qwen3_tts.stock.package_model import PackageModel
from finetuning.dataset import Clip, Dataset
from finetuning.events import Event, Losses, Progress
from finetuning.plan import TrainingPlan
from finetuning.training import export, train
from tests.unit.adapters.qwen3_tts.oracle import codes_of
from tools.tiny_models.config import Kind
from tools.tiny_models.qwen3_tts import write_checkpoint
from tools.tiny_models.shapes import SHAPES, DecoderShape, Parameters, Shape

SPEAKER = "minsu"
TEXTS = ("Good morning.", "The harbour was quiet.", "Please speak slowly.", "Who would have thought?")
LANGUAGES = ("auto", "german", "auto", "english")
FRAMES = (4, 7, 5, 9)
GREEDY = SamplingParams(do_sample=False, subtalker_dosample=False, repetition_penalty=1.0)


def shape_of(parameters: Parameters) -> Shape:
    """Return a shape with the proportions of a published size: text as wide as the talker in 1.7B, wider in 0.6B."""
    layers = DecoderShape(hidden=96, intermediate=192, layers=2, heads=4, key_value_heads=2, head_dim=16)
    wide = replace(layers, hidden=128, intermediate=256)
    return replace(
        SHAPES["tiny"][parameters],
        talker=layers if parameters == "0.6B" else wide,
        predictor=layers,
        text_hidden=128,
        mrope_section=(4, 2, 2),
    )


def write_start(folder: Path, parameters: Parameters, kind: Kind = "base") -> Path:
    write_checkpoint(folder, kind, shape_of(parameters), seed=1)
    return folder


def dataset_of(
    folder: Path, start: Path, *, copies: int = 1, held_out: int = 0, speakers: Sequence[str] = (SPEAKER,)
) -> Dataset:
    """Return four utterances with random codes, in which nothing repeats, so that no shift can hide.

    `copies`: how often each is in an epoch; `held_out`: how many of them are held out too.
    """
    config = json.loads((start / "config.json").read_text())["talker_config"]
    chance = np.random.default_rng(3)
    codes = [chance.integers(0, 64, (frames, 16)).astype(np.int16) for frames in FRAMES]
    embeddings = {name: chance.standard_normal(config["hidden_size"]).astype(np.float32) for name in speakers}
    clips, by_id = [], {}
    for i, (text, language) in enumerate(zip(TEXTS, LANGUAGES, strict=True)):
        for copy in range(copies + (i < held_out)):
            clip = Clip(f"{i}-{copy}", "", text, speakers[i % len(speakers)], language, held_out=copy == copies)
            clips.append(clip)
            by_id[clip.id] = codes[i]
    return Dataset(folder, clips, by_id, embeddings)


def plan_of(start: Path, **chosen: Any) -> TrainingPlan:
    """Return a plan that learns by heart, in fp32."""
    values = {
        "precision": "fp32",
        "learning_rate": 3e-3,
        "epochs": 1,
        "frames_per_step": sum(FRAMES),
        "auto_share": 0.0,
        "streamed_share": 0.5,
        "weight_decay": 0.0,
        "evaluations_per_epoch": 1,
    }
    return TrainingPlan(start, **{**values, **chosen})


class PackageSpeaker:
    """A checkpoint in the package."""

    def __init__(self, folder: Path) -> None:
        self._model = PackageModel.load(Checkpoint.read(folder), Runtime("cpu", "float32", "sdpa"))
        self._caught: list[Tensor] = []
        self._model.model.speech_tokenizer.decode = self._decode

    def codes(self, clip: Clip, *, streamed: bool, limit: int = 14) -> Tensor:
        """Return the greedy codes (frames, 16) of a clip's text."""
        self._model.generate_custom_voice(
            text=clip.text,
            speaker=clip.speaker,
            language=clip.language,
            instruct=clip.instruct or None,
            non_streaming_mode=not streamed,
            do_sample=False,
            subtalker_dosample=False,
            repetition_penalty=1.0,
            max_new_tokens=limit,
        )
        return self._caught.pop()

    def _decode(self, cases: Any) -> tuple[list[Any], int]:
        self._caught += [case["audio_codes"] for case in cases]
        return [np.zeros(1)], 24_000


class EngineSpeaker:
    """A checkpoint in the in-flight engine."""

    def __init__(self, folder: Path) -> None:
        self._weights = Weights.load(folder)
        self._prompts = PromptBuilder(self._weights)

    def codes(self, clip: Clip, *, streamed: bool, limit: int = 14) -> Tensor:
        """Return the greedy codes (frames, 16) of a clip's text."""
        prompt = self._prompts.build(
            clip.text, language=clip.language, speaker=clip.speaker, instruct=clip.instruct, streaming_text=streamed
        )
        return codes_of(self._weights, prompt, GREEDY, frames=limit - 1)


def right_utterances(
    speaker: PackageSpeaker | EngineSpeaker, dataset: Dataset, layouts: Sequence[bool] = (False, True)
) -> list[bool]:
    """Return whether each utterance, its text whole or streamed, comes back with every code and its end."""
    return [
        torch.equal(speaker.codes(clip, streamed=streamed), torch.from_numpy(dataset.codes[clip.id]).long())
        for clip in {clip.text: clip for clip in dataset.clips}.values()
        for streamed in layouts
    ]


@dataclass(frozen=True)
class Voice:
    """A training that has ended."""

    dataset: Dataset
    run: Path
    folder: Path
    """The exported checkpoint."""
    losses: Losses
    """Of the last step."""


def train_voice(start: Path, folder: Path, *, copies: int = 32, **chosen: Any) -> Voice:
    """Train until the data set is known by heart."""
    dataset = dataset_of(folder / "data", start, copies=copies)
    steps: list[Losses] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Progress):
            steps.append(event.losses)

    train(plan_of(start, **chosen), dataset, folder / "run", on_event)
    export(folder / "run", folder / "voice")
    return Voice(dataset, folder / "run", folder / "voice", steps[-1])
