"""The two losses, at the positions that generation asks: codebook 0 and the end, and codebooks 1 to 15.

In generation, the hidden state of a row gives the next frame's codebook 0, and the *same* hidden state with that code
gives its other codebooks. So no label is shifted here, and none by the package, which gets no labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from finetuning.training.batches import Batch
from finetuning.training.rows import NONE


@dataclass(frozen=True, eq=False)
class LossSums:
    """Sums over a batch, to be divided by the counts of a whole step: means of batches would weigh clips unequally."""

    talker: Tensor
    """The cross-entropy of the targets of codebook 0, a scalar."""
    predictor: Tensor
    """The cross-entropy of the codes of codebooks 1 to 15, a scalar."""
    talker_right: Tensor
    """The number of targets whose best guess is right."""
    predictor_right: Tensor
    talker_count: int
    predictor_count: int


def embed(talker: Any, batch: Batch) -> Tensor:
    """Return the rows' embeddings (rows, hidden), summed in the server's order: the frame first, then the text."""
    code = talker.model.codec_embedding(batch.code.clamp(min=0)) * (batch.code != NONE)[:, None]
    tables = talker.code_predictor.get_input_embeddings()
    is_frame = (batch.rest[:, :1] != NONE).to(code)
    for book, table in enumerate(tables):
        code = code + table(batch.rest[:, book].clamp(min=0)) * is_frame
    made: Tensor = code + embed_text(talker, batch.text.clamp(min=0)) * (batch.text != NONE)[:, None]
    return made


def embed_text(talker: Any, tokens: Tensor) -> Tensor:
    """Return the embeddings of text tokens (n,) in the talker's width, (n, hidden)."""
    projection = talker.text_projection
    embedded = talker.model.text_embedding(tokens).to(projection.linear_fc1.weight.dtype)
    projected: Tensor = projection(embedded)
    return projected


def hidden_states(talker: Any, batch: Batch) -> Tensor:
    """Return the talker's last hidden states (rows, hidden)."""
    made = talker.model(inputs_embeds=embed(talker, batch)[None], position_ids=batch.positions[None], use_cache=False)
    hidden: Tensor = made.last_hidden_state[0]
    return hidden


def predictor_scores(talker: Any, hidden: Tensor, codes: Tensor) -> Tensor:
    """Return the scores of codebooks 1 to 15 (frames, 15, codes) of frames (frames, 16) with their hidden states."""
    tables = talker.code_predictor.get_input_embeddings()
    read = [hidden, talker.model.codec_embedding(codes[:, 0])]
    read += [table(codes[:, book]) for book, table in enumerate(tables[:-1], 1)]
    inputs = torch.stack([row.to(hidden.dtype) for row in read], 1)
    scores: Tensor = talker.code_predictor.forward_finetune(inputs_embeds=inputs, use_cache=False).logits
    return scores


def predictor_targets(codes: Tensor) -> Tensor:
    """Return what the code predictor's heads are taught for frames (frames, 16): head i gives codebook i + 1."""
    return codes[:, 1:]


def losses(talker: Any, batch: Batch, frames: Tensor | None = None) -> LossSums:
    """Return the losses of a batch. `frames`: the frames that the predictor learns from (n,); None: all."""
    hidden = hidden_states(talker, batch)
    scores = talker.codec_head(hidden[batch.asked]).float()
    frame_rows, codes = batch.frame_rows, batch.codes
    if frames is not None:
        frame_rows, codes = frame_rows[frames], codes[frames]
    rest_scores = predictor_scores(talker, hidden[frame_rows], codes).float()
    rest = predictor_targets(codes)
    return LossSums(
        talker=F.cross_entropy(scores, batch.targets, reduction="sum"),
        predictor=F.cross_entropy(rest_scores.flatten(0, 1), rest.flatten(), reduction="sum"),
        talker_right=(scores.argmax(-1) == batch.targets).sum(),
        predictor_right=(rest_scores.argmax(-1) == rest).sum(),
        talker_count=len(batch.targets),
        predictor_count=rest.numel(),
    )
