"""The plan fits into the memory that is there; the numbers are those of the published checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from finetuning.dataset import Clip, Dataset
from finetuning.errors import FineTuningError
from finetuning.memory import GB, Sizes, disk_needed, estimate, make_plan

_STACK = {"num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128}
_PREDICTOR = {**_STACK, "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 5, "vocab_size": 2048}


@pytest.fixture(params=["0.6B", "1.7B"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    wide = 1024 if request.param == "0.6B" else 2048
    talker = {
        **_STACK,
        "hidden_size": wide,
        "intermediate_size": 3 * wide,
        "num_hidden_layers": 28,
        "text_hidden_size": 2048,
        "text_vocab_size": 151_936,
        "vocab_size": 3072,
        "code_predictor_config": _PREDICTOR,
    }
    folder = tmp_path / request.param
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"talker_config": talker}))
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """One clip of 20 s."""
    clip = Clip("a", "", "x" * 300, "minsu")
    return Dataset(tmp_path, [clip], {"a": np.zeros((250, 16), np.int16)}, {"minsu": np.zeros(8, np.float32)})


def test_sizes_are_those_of_the_published_checkpoints(start: Path) -> None:
    sizes = Sizes.read(start)
    trainable, adapters = {"0.6B": (594.7, 23.8), "1.7B": (1605.6, 38.5)}[start.name]
    assert sizes.trainable / 1e6 == pytest.approx(trainable, abs=0.2)
    assert sizes.text_embedding / 1e6 == pytest.approx(311.2, abs=0.1)
    assert 32 * sizes.adapters_per_rank / 1e6 == pytest.approx(adapters, abs=0.1)


@pytest.mark.parametrize(
    ("card", "small", "large"),
    [
        (8, "lora", "lora"),
        (12, "full-8bit", "lora"),
        (16, "full", "lora"),
        (24, "full", "full-8bit"),
        (40, "full", "full"),
    ],
)
def test_method_is_the_best_that_fits_the_card(
    card: int, small: str, large: str, start: Path, dataset: Dataset
) -> None:
    plan = make_plan(start, dataset, card * GB)
    assert plan.method == (small if start.name == "0.6B" else large)
    assert estimate(plan).total <= card * GB
    assert plan.rows_per_batch >= 570  # the clip's own rows
    assert plan.learning_rate == (1e-4 if plan.method == "lora" else 2e-5 if start.name == "0.6B" else 1e-5)


def test_user_settings_are_kept_and_the_arithmetic_tells_why_nothing_fits(start: Path, dataset: Dataset) -> None:
    plan = make_plan(start, dataset, 80 * GB, method="lora", epochs=7, learning_rate=3e-5)
    assert (plan.method, plan.epochs, plan.learning_rate) == ("lora", 7, 3e-5)
    with pytest.raises(FineTuningError, match=r"the GPU has 4\.0 GB.*(?s:.)*gradients, .* M of 4 bytes"):
        make_plan(start, dataset, 4 * GB, method="full")
    assert make_plan(start, dataset, None).precision == "fp32"
    assert make_plan(start, dataset, 80 * GB, bf16=False).precision == "fp32"


def test_full_training_needs_the_disk_of_two_states(start: Path, dataset: Dataset) -> None:
    full, lora = (disk_needed(make_plan(start, dataset, 80 * GB, method=method)) for method in ("full", "lora"))
    assert full - lora > 2 * 11 * Sizes.read(start).trainable


def test_folder_without_a_checkpoint_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    with pytest.raises(FineTuningError, match="is not a Qwen3-TTS checkpoint"):
        make_plan(tmp_path, dataset, None)
