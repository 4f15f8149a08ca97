"""The codec's fused kernels compared with the plain layers; without a GPU the kernels run in the interpreter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from adapters.qwen3_tts.inflight.codec.kernels import FusedNormedDepthwise, FusedPast, FusedSnakeBeta
from adapters.qwen3_tts.inflight.codec.layers import NormedDepthwise
from adapters.qwen3_tts.inflight.codec.state import Layout, Past, StateArena
from adapters.qwen3_tts.inflight.codec.streaming import StreamingCodec
from adapters.qwen3_tts.package import core
from tests.unit.adapters.qwen3_tts.codec.altered_decoder import another_decoder
from tests.unit.adapters.qwen3_tts.codec.converted import converted
from tests.unit.adapters.qwen3_tts.traced_graphs import TracedGraphs

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
DTYPES = st.sampled_from([torch.float32, torch.float16])
SLOTS = 4
HALF_STEP = {torch.float32: 2.0**-24, torch.float16: 2.0**-11}
"""The largest relative error of one rounding."""


def normal(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE, dtype)


def snake(width: int) -> FusedSnakeBeta:
    return FusedSnakeBeta(normal(width, seed=1).exp(), normal(width, seed=2).exp())


def arena(length: int, width: int, dtype: torch.dtype) -> tuple[int, StateArena]:
    """Return the number of a part between two others, and states with random values."""
    layout = Layout()
    layout.reserve(2, 3)
    part = layout.reserve(length, width)
    layout.reserve(1, 5)
    states = StateArena(layout, SLOTS, device=DEVICE, dtype=dtype)
    states.values.copy_(normal(*states.values.shape, dtype=dtype, seed=3))
    return part, states


@settings(max_examples=30, deadline=None)
@given(
    slots=st.lists(st.integers(0, SLOTS - 1), min_size=1, unique=True),
    time=st.integers(1, 40),
    length=st.sampled_from([0, 1, 6, 54]),
    width=st.sampled_from([1, 8, 96]),
    dtype=DTYPES,
    through_snake=st.booleans(),
)
def test_fused_past_joins_and_keeps_inputs_as_the_plain_past_does(
    slots: list[int], time: int, length: int, width: int, dtype: torch.dtype, through_snake: bool
) -> None:
    x, rows = normal(len(slots), time, width, dtype=dtype), torch.tensor(slots, device=DEVICE)
    before = snake(width) if through_snake else None
    (part, plain), (_, fused) = arena(length, width, dtype), arena(length, width, dtype)
    expected = Past(plain, rows, time).extend(part, x, before)
    whole = FusedPast(fused, rows, time).extend(part, x, before)
    assert torch.equal(whole, expected)
    assert torch.equal(fused.values, plain.values)
    assert torch.equal(fused.frames, plain.frames)


@settings(max_examples=20, deadline=None)
@given(shape=st.tuples(st.integers(1, 3), st.integers(1, 50), st.sampled_from([1, 8, 96])), dtype=DTYPES)
def test_fused_snake_rounds_once(shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    """The result is the nearest number. In float32, the working precision, intermediate values are rounded too."""
    fused, x = snake(shape[-1]), normal(*shape, dtype=dtype) * 30
    wide = x.double()
    wave = (wide * fused.frequency).sin().square() * fused.magnitude
    bound = (wide.abs() + wave) * HALF_STEP[dtype] + (wide.abs() * fused.frequency + 4) * fused.magnitude * 2.0**-22
    assert ((fused(x).double() - wide - wave).abs() <= bound).all()


@settings(max_examples=20, deadline=None)
@given(
    rows=st.integers(1, 3),
    time=st.integers(1, 12),
    channels=st.sampled_from([1, 8, 24]),
    dtype=DTYPES,
)
def test_fused_depthwise_convolution_equals_the_plain_one(
    rows: int, time: int, channels: int, dtype: torch.dtype
) -> None:
    x, slots = normal(rows, time, channels, dtype=dtype), torch.arange(rows, device=DEVICE)
    part, states = arena(6, channels, dtype)
    weight, bias = normal(7, channels, dtype=dtype, seed=4), normal(channels, dtype=dtype, seed=5)
    fused = FusedNormedDepthwise(weight, bias, part, 1e-3)
    exact = NormedDepthwise(weight.double(), bias.double(), part, 1e-3)
    _, wide = arena(6, channels, dtype)
    wide.values = wide.values.double()
    wide.tails = wide.divided(wide.values)
    expected = exact(x.double(), Past(wide, slots, time))
    normed = fused(x, FusedPast(states, slots, time))
    # A channel's sum is of 8 numbers near 1, whose errors the norm may enlarge by 1 / sqrt(eps).
    torch.testing.assert_close(normed.double(), expected, atol=2.0**-19 * 1e-3**-0.5, rtol=HALF_STEP[dtype])


def test_fused_decoder_is_as_exact_as_the_plain_one(model_dir: Path) -> None:
    folder = model_dir / "Qwen3-TTS-12Hz-0.6B-Base" / "speech_tokenizer"
    package = another_decoder(core.Qwen3TTSTokenizerV2Model.from_pretrained(folder).decoder).to(DEVICE)
    codes = torch.randint(0, 64, (2, 7, 16), generator=torch.Generator().manual_seed(0))
    decoded: list[Tensor] = []
    for dtype, fused in ((torch.float64, False), (torch.float32, False), (torch.float32, True)):
        decoder = converted(package, dtype, fused=fused)
        codec = StreamingCodec(decoder, slots=3)
        codec.reset(2, decoder.state_after(codes[0, :2].to(DEVICE)))
        decoded.append(
            [torch.from_numpy(codec.decode([2, 0], part.numpy()).wait()) for part in codes.split([1, 2, 4], dim=1)]
        )
    exact, plain, by_kernels = (torch.cat(audio, dim=1).double() for audio in decoded)
    assert rms(by_kernels - exact) < 1.1 * rms(plain - exact)


def test_fused_decoder_can_be_captured(model_dir: Path) -> None:
    """The work has the same kernels on the same memory for any slots, and the same audio, to the bit, as without
    graphs."""
    folder = model_dir / "Qwen3-TTS-12Hz-0.6B-Base" / "speech_tokenizer"
    decoder = converted(core.Qwen3TTSTokenizerV2Model.from_pretrained(folder).decoder.to(DEVICE), fused=True)
    codes = torch.randint(0, 64, (2, 2, 16), generator=torch.Generator().manual_seed(0)).numpy()
    captured, plain = StreamingCodec(decoder, slots=2, graphs=TracedGraphs()), StreamingCodec(decoder, slots=2)
    for slots in ([0, 1], [1, 0]):
        audio, expected = (codec.decode(slots, codes).wait() for codec in (captured, plain))
        assert np.array_equal(audio, expected)


def rms(difference: Tensor) -> float:
    return float(difference.square().mean().sqrt())
