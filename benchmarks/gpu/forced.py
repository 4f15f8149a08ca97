"""Teacher-forced scores: a model is given the codes that it has drawn, so that two models can be compared frame by
frame.

The reference is the published package in float32. The package's scores and ours, in the served precision, are compared
with it: both round, and ours must not be further off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.qwen3_tts.inflight.model.prompt import Prompt
from adapters.qwen3_tts.inflight.model.sampling_params import SamplingParams
from adapters.qwen3_tts.inflight.model.stepper import FrameStepper
from adapters.qwen3_tts.inflight.model.weights import Weights


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of every draw of a request, in float32."""

    talker: Tensor
    """(frames, vocabulary): codebook 0 of each frame."""
    predictor: Tensor
    """(frames, 15, codes): the other codebooks."""

    def against(self, reference: Scores) -> dict[str, float]:
        """Return the relative error of both, and how often the best code is the same."""
        figures = {}
        for name in ("talker", "predictor"):
            ours, theirs = getattr(self, name), getattr(reference, name)
            figures[f"{name}_error"] = float(f"{((ours - theirs).norm() / theirs.norm()).item():.3e}")
            figures[f"{name}_agreement"] = round((ours.argmax(-1) == theirs.argmax(-1)).float().mean().item(), 4)
        return figures


def of_package(model: Any, prompt: Prompt, codes: Tensor) -> Scores:
    """Return the scores of the package's `Qwen3TTSForConditionalGeneration` for codes (frames, 16), all positions at
    once."""
    talker = model.talker
    predictor, dtype = talker.code_predictor, talker.codec_head.weight.dtype
    tables = [talker.model.codec_embedding, *predictor.model.codec_embedding]
    embedded = torch.stack([table(codes[:, book]) for book, table in enumerate(tables)], 1)
    rows = torch.arange(len(codes), device=codes.device).clamp(max=len(prompt.trailing) - 1)
    frames = embedded.sum(1) + prompt.trailing.to(dtype)[rows]
    read = torch.cat([prompt.embeddings.to(dtype), frames])[None]
    positions = torch.arange(read.shape[1], device=codes.device).expand(3, 1, -1)
    hidden = talker.model(inputs_embeds=read, position_ids=positions, use_cache=False).last_hidden_state[0]
    drawn_from = hidden[len(prompt.embeddings) - 1 : -1]  # the state from which each frame's first code is drawn
    x = torch.cat([drawn_from[:, None], embedded[:, :-1]], 1)
    x = predictor.small_to_mtp_projection(x)
    states = predictor.model(inputs_embeds=x, use_cache=False).last_hidden_state[:, 1:].unbind(1)
    scores = [head(state) for head, state in zip(predictor.lm_head, states, strict=True)]
    return Scores(talker.codec_head(drawn_from).float(), torch.stack(scores, 1).float())


def of_engine(stepper: FrameStepper, weights: Weights, prompt: Prompt, codes: Tensor) -> Scores:
    """Return our scores, frame by frame as the stepper computes them."""
    runner = stepper._runner
    slot, scores, others = 0, [], []
    prompt = Prompt(prompt.embeddings.to(weights.dtype), prompt.trailing.to(weights.dtype))
    stepper.start(slot, prompt, SamplingParams())
    batch = stepper._batch([slot])
    for number, frame in enumerate(codes):
        hidden = runner._talker.hidden(batch.slots)
        scores.append(runner._talker.scores(hidden)[:1].float().clone())
        given: list[Tensor] = []

        def draw(book: int, heads: Tensor, frame: Tensor = frame, given: list[Tensor] = given) -> Tensor:
            given.append(heads[:1].float().clone())
            return frame[book].expand(batch.rows)

        _, x = runner._predictor.complete(hidden, frame[0].expand(batch.rows), draw)
        others.append(torch.cat(given))
        x = x + prompt.trailing[min(number, len(prompt.trailing) - 1)]
        position = torch.full_like(batch.slots, len(prompt.embeddings) + number)
        runner._talker.step(x, batch, position, stepper.positions)
    stepper.release(slot)
    return Scores(torch.cat(scores), torch.stack(others))


def codes_for(weights: Weights, frames: int, seed: int) -> Tensor:
    """Return random codes (frames, 16)."""
    generator = torch.Generator().manual_seed(seed)
    books, entries = len(weights.code_embeddings), len(weights.predictor_heads[0])
    return torch.randint(entries, (frames, books), generator=generator).to(weights.device)


def relative_error(x: Tensor, reference: Tensor) -> float:
    """Return the relative error of a tensor; infinite if it contains NaN."""
    error = F.mse_loss(x.double(), reference.double()).sqrt() / reference.double().square().mean().sqrt()
    return float(f"{error.nan_to_num(torch.inf).item():.3e}")
