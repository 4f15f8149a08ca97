"""The memory that a training needs, and the plan that fits into what is there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from finetuning.dataset import Dataset
from finetuning.errors import FineTuningError
from finetuning.plan import Method, TrainingPlan

GB = 1 << 30
_BOOKS = 15
_CONTEXT = int(0.8 * GB)
"""CUDA's context, libraries and buffers."""
_CODEC = int(0.9 * GB)
"""The codec and the streams of the engine that speaks between epochs: then there are no activations, and the weights in
training wait in the host's memory."""
_FRAME_SHARE = 0.75
"""The share of frames among the rows of a batch; the rest is text."""
_ROWS = (4_000, 2_800, 2_000, 1_400, 1_000, 700, 500)
_ROWS_BY_DEFAULT = 2_000
_ROWS_AROUND = 20
"""Rows of a clip beside its text and its frames: role, tags and marks."""
_OPTIMISER_BYTES: Mapping[Method, float] = {"full": 8, "full-8bit": 2.1, "lora": 8}
"""Bytes of AdamW's two means a trained parameter."""


@dataclass(frozen=True)
class Sizes:
    """Numbers of parameters, from a config.json."""

    talker: int
    predictor: int
    """With its heads and the projection to its width."""
    tables: int
    """The embeddings of codes, and the head of codebook 0."""
    projection: int
    text_embedding: int
    adapters_per_rank: int
    talker_activation: tuple[int, int]
    """Bytes a row: of all layers, and of checkpointed layers."""
    predictor_activation: tuple[int, int]
    logits: int
    """Bytes a frame."""

    @classmethod
    def read(cls, start: Path) -> Sizes:
        """Read a checkpoint's config.json; raises `FineTuningError`."""
        try:
            talker = json.loads((start / "config.json").read_text(encoding="utf-8"))["talker_config"]
            return cls._of(talker, talker["code_predictor_config"])
        except (OSError, ValueError, KeyError, TypeError):
            raise FineTuningError(f"{start} is not a Qwen3-TTS checkpoint: give the folder of a Base one") from None

    @classmethod
    def _of(cls, talker: Mapping[str, Any], predictor: Mapping[str, Any]) -> Sizes:
        hidden, narrow, text = talker["hidden_size"], predictor["hidden_size"], talker["text_hidden_size"]
        codes, vocabulary = predictor["vocab_size"], talker["vocab_size"]
        joint = hidden * narrow + narrow if hidden != narrow else 0
        return cls(
            talker=_layers(talker),
            predictor=_layers(predictor) + joint + _BOOKS * codes * narrow,
            tables=2 * vocabulary * hidden + _BOOKS * codes * hidden,
            projection=text * text + text + text * hidden + hidden,
            text_embedding=talker["text_vocab_size"] * text,
            adapters_per_rank=_adapters(talker) + _adapters(predictor),
            talker_activation=_activations(talker),
            predictor_activation=_activations(predictor),
            logits=8 * (vocabulary + _BOOKS * codes),
        )

    @property
    def trainable(self) -> int:
        """All parameters but the text embedding, which is never trained."""
        return self.talker + self.predictor + self.tables + self.projection


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of a training, by part."""

    parts: Mapping[str, int]
    """The part in words with its arithmetic -> bytes, in an order for people."""

    @property
    def total(self) -> int:
        """The bytes of all parts."""
        return sum(self.parts.values())

    def __str__(self) -> str:
        lines = [f"{size / GB:6.1f} GB  {part}" for part, size in self.parts.items()]
        return "\n".join([*lines, f"{self.total / GB:6.1f} GB  in all"])


def estimate(plan: TrainingPlan) -> MemoryEstimate:
    """Return the memory that `plan` needs, from its start's config.json; raises `FineTuningError`."""
    sizes = Sizes.read(plan.start)
    low = 2 if plan.precision == "bf16" else 4
    everything = sizes.trainable + sizes.text_embedding
    if plan.method == "lora":
        trained = sizes.adapters_per_rank * plan.lora_rank
        weights = {
            f"weights, {_millions(everything)} of {low} bytes": everything * low,
            f"adapters of rank {plan.lora_rank}, {_millions(trained)} of 4 bytes": trained * 4,
        }
    else:
        trained = sizes.trainable
        weights = {
            f"weights, {_millions(trained)} of 4 bytes": trained * 4,
            f"text embedding, not trained, {_millions(sizes.text_embedding)} of {low} bytes": sizes.text_embedding
            * low,
        }
        if low == 2:
            weights[f"their copies in 16 bits, {_millions(trained)} of 2 bytes"] = trained * 2
    optimiser = _OPTIMISER_BYTES[plan.method]
    frames = int(plan.rows_per_batch * _FRAME_SHARE)
    kept = "one layer's" if plan.checkpointing else "all layers'"
    index = 1 if plan.checkpointing else 0
    scale = low / 2  # the counts are of 16 bits
    activations = plan.rows_per_batch * sizes.talker_activation[index] * scale
    activations += int(frames * plan.predictor_share) * (_BOOKS + 1) * sizes.predictor_activation[index] * scale
    activations += frames * sizes.logits
    return MemoryEstimate(
        {
            **weights,
            f"gradients, {_millions(trained)} of 4 bytes": trained * 4,
            f"optimiser, {_millions(trained)} of {optimiser:g} bytes": int(trained * optimiser),
            f"{kept} activations of {plan.rows_per_batch} rows and their scores": max(int(activations), _CODEC),
            "CUDA's own": _CONTEXT,
        }
    )


def disk_needed(plan: TrainingPlan) -> int:
    """Return the bytes of a run's folder at its largest: two states while one is saved, and the epochs' checkpoints."""
    sizes = Sizes.read(plan.start)
    adapters = sizes.adapters_per_rank * plan.lora_rank
    trained = adapters if plan.method == "lora" else sizes.trainable
    state = int(trained * (4 + _OPTIMISER_BYTES[plan.method]))
    checkpoint = 2 * (sizes.trainable + sizes.text_embedding)
    return 2 * state + (min(plan.epochs, plan.keep_epochs) + 1) * checkpoint


def make_plan(start: Path, dataset: Dataset, memory: int | None, *, bf16: bool = True, **chosen: Any) -> TrainingPlan:
    """Return the best plan for `memory` bytes of a GPU (None: a CPU, without a limit).

    `bf16`: the GPU computes in bfloat16 (from Ampere on). `chosen`: fields of `TrainingPlan` that the user has set.
    Raises `FineTuningError`, with the arithmetic, if none fits.
    """
    longest = max(_rows(dataset, i) for i in range(len(dataset.clips)))
    first = TrainingPlan(
        start=start,
        rows_per_batch=max(_ROWS_BY_DEFAULT, longest),
        precision="bf16" if bf16 and memory is not None else "fp32",
    )
    for candidate in _candidates(first, longest, set(chosen)):
        plan = replace(candidate, **{"learning_rate": _rate(candidate, dataset, chosen), **chosen})
        if memory is None or estimate(plan).total <= memory:
            return plan
    raise FineTuningError(
        f"the GPU has {memory / GB:.1f} GB, and the smallest plan needs:\n{estimate(plan)}\n"  # type: ignore[operator]
        "Start from a smaller checkpoint, shorten the longest clip, or train on a larger GPU."
    )


def _candidates(first: TrainingPlan, longest: int, chosen: set[str]) -> Iterator[TrainingPlan]:
    """Yield plans from the best to the smallest: full training first, then smaller batches, then fewer states."""
    methods: tuple[Method, ...] = ("full", "full-8bit", "lora")
    smaller = [rows for rows in (*_ROWS, longest) if longest <= rows <= first.rows_per_batch]
    for method in methods:
        plan = replace(first, method=method)
        yield plan
        for rows in smaller or [longest]:
            yield replace(plan, checkpointing=True, rows_per_batch=rows)
    if "predictor_share" not in chosen:
        yield replace(first, method="lora", checkpointing=True, rows_per_batch=longest, predictor_share=0.25)


def _rate(plan: TrainingPlan, dataset: Dataset, chosen: Mapping[str, Any]) -> float:
    """Return the learning rate: lower for the large size, and for many clips."""
    if chosen.get("method", plan.method) == "lora":
        return 1e-4
    small = Sizes.read(plan.start).trainable < 1_000_000_000
    clips = len(dataset.training)
    high = 2e-5 if small else 1e-5
    return high if clips < 300 else 5e-6 if clips > 1_000 else 1e-5


def _rows(dataset: Dataset, index: int) -> int:
    """Return the most rows of a clip: no text has more tokens than bytes."""
    clip = dataset.clips[index]
    return len(dataset.codes[clip.id]) + len(clip.text.encode()) + len(clip.instruct.encode()) + _ROWS_AROUND


def _layers(config: Mapping[str, Any]) -> int:
    hidden, heads, pairs, width = _widths(config)
    attention = 2 * hidden * heads * width + 2 * hidden * pairs * width
    norms = 2 * hidden + 2 * width
    layer: int = attention + 3 * hidden * config["intermediate_size"] + norms
    return int(config["num_hidden_layers"]) * layer + hidden


def _adapters(config: Mapping[str, Any]) -> int:
    """Return the parameters a rank: the two widths of each adapted matrix."""
    hidden, heads, pairs, width = _widths(config)
    attention = 2 * (hidden + heads * width) + 2 * (hidden + pairs * width)
    return int(config["num_hidden_layers"]) * (attention + 3 * (hidden + int(config["intermediate_size"])))


def _activations(config: Mapping[str, Any]) -> tuple[int, int]:
    """Return the bytes a row that the backward pass needs: of all layers, and with checkpoints.

    Of a layer: the inputs of norms and products, queries and keys before and after their norms and positions.
    """
    hidden, heads, pairs, width = _widths(config)
    queries, keys = heads * width, pairs * width
    inner = int(config["intermediate_size"])
    layer = 2 * (5 * hidden + 3 * (queries + keys) + 2 * keys + 2 * queries + 4 * inner) + 8 * hidden
    layers = int(config["num_hidden_layers"])
    return layers * layer, 2 * hidden * layers + layer


def _widths(config: Mapping[str, Any]) -> tuple[int, int, int, int]:
    names = ("hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim")
    hidden, heads, pairs, width = (int(config[name]) for name in names)
    return hidden, heads, pairs, width


def _millions(count: int) -> str:
    return f"{count / 1e6:,.1f} M"
