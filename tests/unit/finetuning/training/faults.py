"""The published script's four faults, each to be put back in alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from finetuning.training import alignment, losses, stepper
from finetuning.training.batches import Batch, pack
from finetuning.training.rows import Rows

Alter = Callable[[Batch], Batch]


def altered_batches(patch: pytest.MonkeyPatch, alter: Alter) -> None:
    def altered(made: Sequence[Rows], end: int) -> Batch:
        return alter(pack(made, end))

    for module in (stepper, alignment):
        patch.setattr(module, "pack", altered)


def shifted_labels(patch: pytest.MonkeyPatch) -> None:
    """Teach each hidden state the code that comes a frame after its own."""
    altered_batches(patch, lambda batch: replace(batch, asked=batch.asked - 1))


def shifted_predictor_labels(patch: pytest.MonkeyPatch) -> None:
    """Teach each head of the code predictor the codebook after its own."""
    patch.setattr(losses, "predictor_targets", lambda codes: codes[:, 1:].roll(-1, 1))


def leaked_hidden_state(patch: pytest.MonkeyPatch) -> None:
    """Let the code predictor read the hidden state that has already read the frame."""
    altered_batches(patch, lambda batch: replace(batch, frame_rows=batch.frame_rows + 1))


def missing_projection(patch: pytest.MonkeyPatch) -> None:
    """Leave the text's embeddings as they are."""
    patch.setattr(losses, "embed_text", lambda talker, tokens: talker.model.text_embedding(tokens))


FAULTS: Mapping[str, Callable[[pytest.MonkeyPatch], None]] = {
    "labels shifted twice": shifted_labels,
    "predictor's labels shifted": shifted_predictor_labels,
    "hidden state leaked": leaked_hidden_state,
    "projection missing": missing_projection,
}
