"""Draws in 16 bits: from the package's probabilities, as far as the order of sums allows."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from adapters.qwen3_tts.inflight.model.predictor import Predictor
from adapters.qwen3_tts.inflight.model.row_sampler import RowSampler
from adapters.qwen3_tts.inflight.model.sampling_params import SamplingParams
from adapters.qwen3_tts.inflight.model.stepper import FrameStepper
from adapters.qwen3_tts.inflight.model.torch_backend import TorchPredictorDecoder
from adapters.qwen3_tts.inflight.model.weights import Weights
from tests.unit.adapters.qwen3_tts.oracle import CASES, Oracle, SharedNoise
from tools.tiny_models.qwen3_tts import CHECKPOINTS, write_checkpoint
from tools.tiny_models.shapes import SHAPES

CHECKPOINT = "Qwen3-TTS-12Hz-1.7B-CustomVoice"
SPOKEN = CASES["preset voice, instructed"]
SAMPLING = SamplingParams(
    temperature=1.0, top_k=0, repetition_penalty=1.0, subtalker_temperature=1.0, subtalker_top_k=0, seed=5
)
"""With these parameters nothing is cut off, so that the probabilities are those of all codes."""
TOKENS = 20


@pytest.fixture(scope="module")
def rounded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with weights that have the same values in every precision."""
    folder = tmp_path_factory.mktemp("models") / CHECKPOINT
    kind, parameters = CHECKPOINTS[CHECKPOINT]
    write_checkpoint(folder, kind, replace(SHAPES["tiny"][parameters], dtype="bfloat16"))
    return folder


@pytest.fixture(scope="module")
def exact(rounded: Path) -> Oracle:
    return Oracle(rounded)


def spoken_by_the_package(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Tensor], list[int]]:
    """Return the probabilities of each draw of the package, and the codes drawn."""
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
    """Return our probabilities of each draw, if it draws these codes."""
    probabilities, left = [], iter(codes)

    def draw(sampler: RowSampler, scores: Tensor, noise: Tensor) -> Tensor:
        probabilities.append(scores[0].softmax(-1))
        return torch.tensor([next(left)])

    with monkeypatch.context() as patch:
        patch.setattr(RowSampler, "draw", draw)
        stepper = FrameStepper(oracle.weights, slots=1, positions=256)
        stepper.start(0, oracle.prompt(SPOKEN), SAMPLING)
        for _ in range((len(codes) - 1) // 16):
            stepper.step([0])
    assert next(left, None) is None
    return probabilities


def distance(some: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    """Return the probability that differs, on average over the draws."""
    apart = [(one - other).abs().sum() / 2 for one, other in zip(some, others, strict=True)]
    return float(torch.stack(apart).mean())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_codes_are_drawn_from_the_packages_probabilities_in_16_bits(
    rounded: Path, exact: Oracle, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of 16 bits is the distance of the package from float32. With one rounding elsewhere, ours is as far.

    So our distance from the package must be much smaller, and most draws must be equal to the bit. With a sum or
    product rounded elsewhere (measured: residuals, rotation, SiLU, the sum of embeddings) no draw is equal, or one in
    twenty; here half of them are. The rest are matrix products that sum in another order. In float16 this holds for the
    talker's draws only; the code predictor is float32 here, and so must be nearer to float32 than the package.
    """
    oracle = Oracle(rounded, dtype)
    theirs, codes = spoken_by_the_package(oracle, monkeypatch)
    ours, precise = (followed_by_us(each, codes, monkeypatch) for each in (oracle, exact))
    assert len(codes) > 10 * 16
    if dtype == "float16":
        theirs_of_predictor, *others = (
            [draw for i, draw in enumerate(each) if i % 16] for each in (theirs, ours, precise)
        )
        assert distance(*others) < 0.7 * distance(theirs_of_predictor, others[1])
        theirs, ours, precise = (each[::16] for each in (theirs, ours, precise))
    assert distance(ours, theirs) < 0.6 * distance(theirs, precise)
    assert sum(map(torch.equal, ours, theirs)) > 0.4 * len(ours)


def scores_of_a_frame(model: Weights) -> Tensor:
    """Return the code predictor's scores (15, codes) of some frame."""
    scores: list[Tensor] = []

    def draw(book: int, each: Tensor) -> Tensor:
        scores.append(each[0].float())
        return torch.tensor([book])

    context = TorchPredictorDecoder(model.predictor, rows=1, positions=16)
    hidden = torch.linspace(-1, 1, model.codec_head.shape[1], dtype=model.dtype)[None]
    Predictor(model, context).complete(hidden, torch.tensor([0]), draw)
    return torch.stack(scores)


@pytest.mark.parametrize("size", ["0.6B", "1.7B"])
def test_code_predictor_may_exceed_the_range_of_float16(model_dir: Path, tmp_path: Path, size: str) -> None:
    """The published 0.6B exceeds it between the two matrices of a feed-forward part."""
    folder = shutil.copytree(model_dir / f"Qwen3-TTS-12Hz-{size}-CustomVoice", tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    for name, factor in {"gate": 2.0**10, "up": 2.0**10, "down": 2.0**-20}.items():
        tensors[f"talker.code_predictor.model.layers.0.mlp.{name}_proj.weight"] *= factor
    save_file(tensors, folder / "model.safetensors")
    precise = scores_of_a_frame(Weights.load(folder))
    torch.testing.assert_close(
        scores_of_a_frame(Weights.load(folder, dtype=torch.float16)), precise, atol=2e-3, rtol=2e-3
    )
    narrow = Weights.load(folder, dtype=torch.float16, predictor_dtype=torch.float16)
    assert not scores_of_a_frame(narrow).isfinite().all()
