"""The plan of a training: the method, the batches and the rates."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Method = Literal["full", "full-8bit", "lora"]
Precision = Literal["bf16", "fp32"]


@dataclass(frozen=True)
class TrainingPlan:
    """All that decides the result, beside the data set. `memory.make_plan` chooses one that fits."""

    start: Path
    """The folder of the checkpoint to start from: Base, or CustomVoice to keep its voices."""
    method: Method = "full"
    """All weights but the text embedding, the same with an 8-bit optimiser, or low-rank adapters."""
    learning_rate: float = 1e-5
    epochs: int = 3
    frames_per_step: int = 1_500
    """Codec frames of an optimiser step, in whole clips."""
    rows_per_batch: int = 2_000
    """The most rows (text and frames) of a forward pass; a step has as many passes as it needs."""
    checkpointing: bool = False
    """True: activations are computed again in the backward pass."""
    precision: Precision = "bf16"
    """The precision of the products; full training keeps its weights in fp32."""
    predictor_share: float = 1.0
    """The share of the frames that the code predictor learns from in each pass."""
    predictor_weight: float = 0.3
    """The weight of the code predictor's loss."""
    auto_share: float = 0.3
    """The share of the clips that are shown without their language."""
    streamed_share: float = 0.2
    """The share of the clips with streamed text: a token a frame."""
    warmup_share: float = 0.05
    final_rate_share: float = 0.1
    """The learning rate at the end, as a share of the highest."""
    weight_decay: float = 0.01
    gradient_norm: float = 1.0
    lora_rank: int = 32
    lora_alpha: int = 32
    patience: int = 3
    """Epochs without a lower held-out loss after which training stops."""
    keep_epochs: int = 3
    """Checkpoints of epochs that stay on disk until one is chosen."""
    evaluations_per_epoch: int = 4
    """Held-out losses an epoch; sentences are spoken and judged at its end."""
    save_seconds: float = 600.0
    """The time between two saved states to resume from."""
    sentences: tuple[str, ...] = field(default=())
    """The texts to speak and judge after each epoch; empty: those of up to 8 held-out clips."""
    seed: int = 0
