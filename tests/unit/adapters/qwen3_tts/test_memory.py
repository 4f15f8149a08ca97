"""The supervisor's estimate of the engine's memory equals the memory of the engine."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from adapters.qwen3_tts.frames import SAMPLES_PER_FRAME
from adapters.qwen3_tts.inflight.codec.decoder import CodecDecoder
from adapters.qwen3_tts.inflight.codec.streaming import StreamingCodec
from adapters.qwen3_tts.inflight.model.stepper import FrameStepper
from adapters.qwen3_tts.inflight.model.weights import Weights
from supervisor.memory import EngineMemory, Slots
from tests.unit.adapters.qwen3_tts.published_shapes import published_codec, published_weights
from tools.tiny_models.config import make_config
from tools.tiny_models.qwen3_tts import skeleton
from tools.tiny_models.shapes import SHAPES, DecoderShape, Parameters
from tools.tiny_models.tokenizer import write_tokenizer
from tritone.families import BUILT_IN, Family, SlotMemory

FAMILY = Family.load(BUILT_IN / "qwen3_tts")
CODEC_DECODER = 119.0
"""Millions of weights of the codec's decoder, in the arrangement of the engine."""
WORKING_NUMBERS = 4 * 24 * SAMPLES_PER_FRAME * 96
"""The numbers of a slot that are no tensors of its own: four of the codec, while it decodes the largest chunk."""
SIZES: dict[str, Parameters] = {"0.6b": "0.6B", "1.7b": "1.7B"}


def numbers_per_position(talker: DecoderShape) -> int:
    """Keys and values of every layer, and a row of text."""
    return 2 * talker.layers * talker.key_value_heads * talker.head_dim + talker.hidden


@pytest.mark.parametrize("size", SIZES)
def test_family_file_has_the_published_shapes(size: str, tmp_path: Path) -> None:
    shape = SHAPES["full"][SIZES[size]]
    weights = skeleton(make_config("base", shape, write_tokenizer(tmp_path))).parameters()
    millions = sum(weight.numel() for weight in weights) / 1e6 + CODEC_DECODER
    memories = [model.slot_memory for model in FAMILY.models.values() if model.size == size and model.slot_memory]
    assert memories
    for memory in memories:
        assert memory.parameters == pytest.approx(millions, abs=0.6)
        assert memory.numbers_per_position == numbers_per_position(shape.talker)


@pytest.mark.parametrize("size", SIZES)
def test_memory_of_a_slot_has_all_its_tensors(size: str, tmp_path: Path) -> None:
    positions = 1000
    weights = published_weights(tmp_path, SIZES[size])
    decoder = CodecDecoder(published_codec(SIZES[size]), torch.float16, fused=False)

    def taken(slots: int) -> int:
        return held(
            lambda: (
                FrameStepper(weights, slots=slots, positions=positions, fused=True),
                StreamingCodec(decoder, slots=slots),
            )
        )

    memory = FAMILY.models[f"qwen3-tts-{size}"].slot_memory
    assert memory
    numbers = (taken(16) - taken(8)) / 8 / torch.bfloat16.itemsize
    assert numbers == pytest.approx(
        positions * memory.numbers_per_position + memory.numbers_per_slot - WORKING_NUMBERS, rel=1e-3
    )


def test_slot_memory_equals_the_estimate(model_dir: Path) -> None:
    weights = Weights.load(model_dir / "Qwen3-TTS-12Hz-0.6B-CustomVoice")
    engine = EngineMemory.read(FAMILY, {})
    assert engine
    engine = replace(engine, bytes_per_number=4)
    memory = SlotMemory(0, 0, numbers_per_position(SHAPES["tiny"]["0.6B"].talker), 0, 0)

    def counted(positions: int) -> float:
        return engine.of_slots(memory, Slots(8, positions)) * 2**30

    def taken(positions: int) -> int:
        return held(lambda: FrameStepper(weights, slots=8, positions=positions))

    assert taken(3000) - taken(1000) == pytest.approx(counted(3000) - counted(1000), rel=0.05)


def held(make: Callable[[], object]) -> int:
    """Return the bytes of the tensors that it keeps."""
    before = storages()
    made = make()
    return sum(size for address, size in storages().items() if address not in before and made is not None)


def storages() -> dict[int, int]:
    """Return the bytes of each storage by its address; one without numbers has an address too."""
    gc.collect()
    tensors = [each for each in gc.get_objects() if type(each) is torch.Tensor]
    return {each.untyped_storage()._cdata: each.untyped_storage().nbytes() for each in tensors}
