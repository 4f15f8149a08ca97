"""The supervisor's estimate of the engine's memory equals the memory of the engine."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from adapters.qwen3_tts.inflight.model.stepper import FrameStepper
from adapters.qwen3_tts.inflight.model.weights import Weights
from supervisor.memory import Arena, EngineMemory
from tests.tiny_models.qwen3_tts import make_config, skeleton
from tests.tiny_models.shapes import SHAPES
from tests.tiny_models.tokenizer import write_tokenizer
from tritone.catalogue import Catalogue, Shape

KNOWN = Catalogue.load().shapes


@pytest.mark.parametrize("size", KNOWN)
def test_catalogue_has_the_published_shapes(size: str, tmp_path: Path) -> None:
    known, shape = KNOWN[size], SHAPES["full"][size.upper()]  # type: ignore[index]
    talker = shape.talker
    weights = skeleton(make_config("base", shape, write_tokenizer(tmp_path))).parameters()
    assert known.parameters == pytest.approx(sum(weight.numel() for weight in weights) / 1e6, abs=0.6)
    assert (known.hidden, known.layers, known.key_value_heads, known.head_dim) == (
        talker.hidden, talker.layers, talker.key_value_heads, talker.head_dim
    )  # fmt: skip


def test_slot_memory_equals_the_estimate(model_dir: Path) -> None:
    weights = Weights.load(model_dir / "Qwen3-TTS-12Hz-0.6B-CustomVoice")
    talker = SHAPES["tiny"]["0.6B"].talker
    shape = Shape(0, 0, 0, talker.hidden, talker.layers, talker.key_value_heads, talker.head_dim)
    engine = EngineMemory(number=4)

    def counted(positions: int) -> float:
        return engine.of_streams(shape, Arena(8, positions)) * 2**30

    def taken(positions: int) -> int:
        return held(lambda: FrameStepper(weights, slots=8, positions=positions))

    assert taken(3000) - taken(1000) == pytest.approx(counted(3000) - counted(1000), rel=0.05)


def held(make: Callable[[], object]) -> int:
    """Return the bytes of the tensors that it keeps."""
    before = storages()
    made = make()
    return sum(size for address, size in storages().items() if address not in before and made is not None)


def storages() -> dict[int, int]:
    gc.collect()
    tensors = [each for each in gc.get_objects() if type(each) is torch.Tensor]
    return {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in tensors}
