"""Proof before training: the rows are the server's, and the untouched start predicts the codes where they are taught.

A shifted label, a hidden state that has read its own frame, or text without projection give healthy loss curves and
wrong speech. They are found here in seconds, in this code and in any version of the package.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.qwen3_tts.inflight.model.prompt import PromptBuilder
from adapters.qwen3_tts.inflight.model.weights import Weights
from finetuning.dataset import Clip, Dataset
from finetuning.errors import FineTuningError
from finetuning.training import losses as taught
from finetuning.training.batches import Batch, pack
from finetuning.training.rows import rows_of
from finetuning.training.start import Start

_CLIPS = 8
_ERRORS = 4.0
"""Standard errors of the mean cross-entropy by which a prediction must be better than chance, about 1 nat a target."""
_TOLERANCE = 0.02
"""The largest difference of two embeddings that are the same but for rounding, as a share of the largest value."""


def check_rows(talker: Any, dataset: Dataset, start: Start) -> None:
    """Raise `FineTuningError` unless the rows of both layouts equal the server's prompts, on the talker's weights."""
    prompts = PromptBuilder(_as_weights(talker, start))
    with torch.no_grad():
        for clip in dataset.training[:_CLIPS]:
            for streamed in (False, True):
                for auto in (False, True):
                    _check_clip(talker, prompts, clip, dataset, start, auto=auto, streamed=streamed)


def check_alignment(talker: Any, dataset: Dataset, start: Start) -> str:
    """Raise `FineTuningError` if the start predicts shifted codes better than the taught ones.

    Return a warning if it predicts neither better than chance (then nothing can be said), else nothing.
    """
    clips = dataset.training[:_CLIPS]
    rows = [rows_of(clip, dataset.codes[clip.id], start) for clip in clips]
    device = next(talker.parameters()).device
    with torch.no_grad():
        batch = pack(rows, start.talker_config["codec_eos_token_id"]).to(device)
        found = alignments(talker, batch)
    codes = {"talker": len(talker.codec_head.weight), "predictor": len(talker.code_predictor.lm_head[0].weight)}
    targets = {"talker": len(batch.targets), "predictor": batch.codes[:, 1:].numel()}
    warnings = []
    for part, values in found.items():
        best = min(values, key=values.__getitem__)
        if values[best] > math.log(codes[part]) - _ERRORS / math.sqrt(targets[part]):
            warnings.append(f"the start's {part} predicts no better than chance: are its weights random?")
        elif best != "as taught":
            told = ", ".join(f"{name} {value:.2f}" for name, value in values.items())
            raise FineTuningError(
                f"the {part} is taught another code than the start predicts (cross-entropy {told}): "
                "this version of the package or of the checkpoint has another layout; nothing was trained"
            )
    return " ".join(warnings)


def alignments(talker: Any, batch: Batch) -> Mapping[str, Mapping[str, float]]:
    """Return the cross-entropies of the codes as taught, and of shifted ones, for the talker and the predictor."""
    made = {"as taught": taught.losses(talker, batch)}
    for name, rows in (("a frame later", -1), ("a frame earlier", 1)):
        # The row before is asked for a code that comes one frame later than its own, and vice versa.
        last = len(batch.text) - 1
        asked, frame_rows = ((at + rows).clamp(0, last) for at in (batch.asked, batch.frame_rows))
        made[name] = taught.losses(talker, replace(batch, asked=asked, frame_rows=frame_rows))
    hidden = taught.hidden_states(talker, batch)[batch.frame_rows]
    scores, codes = taught.predictor_scores(talker, hidden, batch.codes).float(), taught.predictor_targets(batch.codes)
    books = {
        name: F.cross_entropy(scores.flatten(0, 1), codes.roll(by, 1).flatten()).item()
        for name, by in (("a codebook later", -1), ("a codebook earlier", 1))
    }
    return {
        "talker": {name: (sums.talker / sums.talker_count).item() for name, sums in made.items()},
        "predictor": {name: (sums.predictor / sums.predictor_count).item() for name, sums in made.items()} | books,
    }


def _check_clip(
    talker: Any, prompts: PromptBuilder, clip: Clip, dataset: Dataset, start: Start, *, auto: bool, streamed: bool
) -> None:
    codes = dataset.codes[clip.id]
    rows = rows_of(clip, codes, start, auto=auto, streamed=streamed)
    batch = pack([rows], start.talker_config["codec_eos_token_id"]).to(next(talker.parameters()).device)
    ours = taught.embed(talker, batch)
    prompt = prompts.build(
        clip.text.strip(),
        language="auto" if auto else clip.language,
        speaker=clip.speaker,
        instruct=clip.instruct,
        streaming_text=streamed,
    )
    trailing = prompt.trailing[: len(codes)]
    trailing = torch.cat([trailing, prompt.trailing[-1:].expand(len(codes) - len(trailing), -1)])
    theirs = torch.cat([prompt.embeddings, _frames(talker, batch.codes) + trailing])
    if ours.shape != theirs.shape:
        raise FineTuningError(f"clip {clip.id} is taught in {len(ours)} rows, but the server gives {len(theirs)}")
    wrong = ((ours - theirs).abs().amax(1) > _TOLERANCE * theirs.abs().max()).nonzero()
    if len(wrong):
        raise FineTuningError(
            f"clip {clip.id}: row {int(wrong[0])} of {len(ours)} is not the server's; nothing was trained"
        )


def _frames(talker: Any, codes: Tensor) -> Tensor:
    tables = [talker.model.codec_embedding, *talker.code_predictor.get_input_embeddings()]
    summed: Tensor = sum(table(codes[:, book]) for book, table in enumerate(tables))
    return summed


def _as_weights(talker: Any, start: Start) -> Weights:
    """Return the talker's weights in the form that the server's prompt builder reads."""
    projection = talker.text_projection
    parts = SimpleNamespace(
        config=start.config,
        folder=start.folder,
        device=talker.model.codec_embedding.weight.device,
        text_embedding=talker.model.text_embedding.weight.to(projection.linear_fc1.weight.dtype),
        text_projection=(
            projection.linear_fc1.weight,
            projection.linear_fc1.bias,
            projection.linear_fc2.weight,
            projection.linear_fc2.bias,
        ),
        code_embeddings=[
            talker.model.codec_embedding.weight,
            *(table.weight for table in talker.code_predictor.get_input_embeddings()),
        ],
    )
    return cast(Weights, parts)
