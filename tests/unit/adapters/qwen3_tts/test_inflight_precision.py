"""In 16 bits: every draw is made from the package's probabilities, as near as one rounding of a sum can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from adapters.qwen3_tts.inflight.frame import FrameStepper
from adapters.qwen3_tts.inflight.sampling import Sampler, Sampling
from tests.tiny_models.qwen3_tts import CHECKPOINTS, write_checkpoint
from tests.tiny_models.shapes import SHAPES
from tests.unit.adapters.qwen3_tts.oracle import UTTERANCES, Oracle, SharedNoise

CHECKPOINT = "Qwen3-TTS-12Hz-1.7B-CustomVoice"
SPOKEN = UTTERANCES["preset voice, instructed"]
SAMPLING = Sampling(
    temperature=1.0, top_k=0, repetition_penalty=1.0, subtalker_temperature=1.0, subtalker_top_k=0, seed=5
)
"""Nothing is cut off, so that probabilities are those of all codes."""
TOKENS = 20


@pytest.fixture(scope="module")
def rounded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose weights are the same numbers in every precision."""
    folder = tmp_path_factory.mktemp("models") / CHECKPOINT
    kind, parameters = CHECKPOINTS[CHECKPOINT]
    write_checkpoint(folder, kind, replace(SHAPES["tiny"][parameters], dtype="bfloat16"))
    return folder


@pytest.fixture(scope="module")
def exact(rounded: Path) -> Oracle:
    return Oracle(rounded)


def spoken_by_the_package(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Tensor], list[int]]:
    """The probabilities of each draw, and the codes drawn."""
    probabilities, codes, noise = [], [], SharedNoise(oracle.weights, SAMPLING)

    def multinomial(each: Tensor, num_samples: int) -> Tensor:
        probabilities.append(each[0].float())
        code = noise(probabilities[-1][None], num_samples)
        codes.append(int(code))
        return code

    arguments: dict[str, Any] = {k: v for k, v in vars(SAMPLING).items() if k not in ("seed", "min_new_tokens")}
    with monkeypatch.context() as patch:
        patch.setattr(torch, "multinomial", multinomial)
        oracle.package_codes(SPOKEN, streaming_text=False, max_new_tokens=TOKENS, **arguments)
    return probabilities, codes


def followed_by_us(oracle: Oracle, codes: Sequence[int], monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The probabilities of each draw where it draws these codes."""
    probabilities, left = [], iter(codes)

    def draw(sampler: Sampler, scores: Tensor, noise: Tensor) -> Tensor:
        probabilities.append(scores[0].softmax(-1))
        return torch.tensor([next(left)])

    with monkeypatch.context() as patch:
        patch.setattr(Sampler, "draw", draw)
        stepper = FrameStepper(oracle.weights, slots=1, positions=256)
        stepper.prefill(0, oracle.prompt(SPOKEN), SAMPLING)
        for _ in range((len(codes) - 1) // 16):
            stepper.step([0])
    assert next(left, None) is None
    return probabilities


def distance(some: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    """The probability that is elsewhere, on the average of the draws."""
    apart = [(one - other).abs().sum() / 2 for one, other in zip(some, others, strict=True)]
    return float(torch.stack(apart).mean())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_codes_are_drawn_from_the_packages_probabilities_of_that_precision(
    rounded: Path, exact: Oracle, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What 16 bits cost is how far the package is from float32; with one rounding elsewhere, we are as far from it.

    So we are to be much nearer, and most often at its very bits: at no draws, or one in twenty, where a sum or
    product is rounded elsewhere (measured: residuals, rotation, SiLU, the sum of embeddings), at half of them here.
    The rest are matrix products that add up in another order.
    """
    oracle = Oracle(rounded, dtype)
    theirs, codes = spoken_by_the_package(oracle, monkeypatch)
    ours = followed_by_us(oracle, codes, monkeypatch)
    cost = distance(theirs, followed_by_us(exact, codes, monkeypatch))
    assert len(codes) > 10 * 16
    assert distance(ours, theirs) < 0.6 * cost
    assert sum(map(torch.equal, ours, theirs)) > 0.4 * len(codes)
