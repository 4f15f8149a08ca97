"""The memory figures of the family file equal those of the published shapes and of the engine's tensors."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters.qwen3_tts.inflight.model.stepper import FrameStepper
from adapters.qwen3_tts.inflight.model.weights import Weights
from tools.tiny_models.config import make_config
from tools.tiny_models.qwen3_tts import skeleton
from tools.tiny_models.shapes import SHAPES
from tools.tiny_models.tokenizer import write_tokenizer
from tritone.catalogue import Catalogue
from tritone.families import SlotMemory

MODELS = {id_: model for id_, model in Catalogue.load().models.items() if model.slot_memory}
FLOAT32_BYTES = 4
CODEC_DECODER = 119
"""Millions of weights of the codec's decoder, as the engine arranges them."""


def memory_of(model: str) -> SlotMemory:
    memory = MODELS[model].slot_memory
    assert memory is not None
    return memory


def numbers_per_position(talker: Any) -> int:
    """Count the keys and values of all layers, and a row of text."""
    return 2 * talker.layers * talker.key_value_heads * talker.head_dim + talker.hidden


@pytest.mark.parametrize("model", MODELS)
def test_weights_of_the_family_file_equal_those_of_the_published_shape(model: str, tmp_path: Path) -> None:
    memory, shape = memory_of(model), SHAPES["full"][MODELS[model].size.upper()]  # type: ignore[index]
    weights = skeleton(make_config("base", shape, write_tokenizer(tmp_path))).parameters()
    millions = sum(weight.numel() for weight in weights) / 1e6
    assert memory.parameters == pytest.approx(millions + CODEC_DECODER, abs=0.6)


@pytest.mark.parametrize("model", MODELS)
def test_numbers_per_position_of_the_family_file_equal_those_of_the_published_shape(model: str) -> None:
    talker = SHAPES["full"][MODELS[model].size.upper()].talker  # type: ignore[index]
    assert memory_of(model).numbers_per_position == numbers_per_position(talker)


def test_slots_of_the_engine_keep_the_counted_numbers_per_position(model_dir: Path) -> None:
    weights = Weights.load(model_dir / "Qwen3-TTS-12Hz-0.6B-CustomVoice")
    slots, scratch = 8, 1

    def kept(positions: int) -> int:
        return bytes_kept(lambda: FrameStepper(weights, slots=slots, positions=positions))

    counted = 2000 * (slots + scratch) * numbers_per_position(SHAPES["tiny"]["0.6B"].talker) * FLOAT32_BYTES
    assert kept(3000) - kept(1000) == pytest.approx(counted, rel=0.05)


def bytes_kept(make: Callable[[], object]) -> int:
    """Return the bytes of the tensors that the made object keeps."""
    before = storages()
    made = make()
    return sum(size for address, size in storages().items() if address not in before and made is not None)


def storages() -> dict[int, int]:
    """Return the bytes of each tensor storage by its address."""
    gc.collect()
    tensors = [each for each in gc.get_objects() if type(each) is torch.Tensor]
    return {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in tensors}
