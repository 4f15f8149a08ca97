"""The audio of codes in pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from adapters.zonos.checkpoint import UnreadableCheckpointError
from adapters.zonos.codec import CONTEXT, Codec, PieceDecoder
from adapters.zonos.loading import CODEC_FOLDER

CODES = np.random.default_rng(0).integers(0, 1024, (70, 9)).tolist()


@pytest.fixture(scope="module")
def codec(models: Path) -> Codec:
    return Codec.load(models / CODEC_FOLDER, torch.device("cpu"), torch.float32)


@pytest.mark.parametrize("sizes", [[70], [1] * 70, [3, 30, 0, 37], [12, 24, 34]])
def test_pieces_together_are_the_samples_of_the_whole(codec: Codec, sizes: list[int]) -> None:
    decoder, pieces, start = PieceDecoder(codec), [], 0
    with torch.inference_mode():
        for size in sizes:
            pieces.append(decoder.decode(CODES[start : start + size], last=start + size == len(CODES)))
            start += size
        whole = codec.decode(CODES)
    assert len(whole) == 70 * codec.hop
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)
    if len(sizes) == 70:
        assert [len(piece) for piece in pieces[:12]] == [0] * CONTEXT + [codec.hop] * 2


def test_a_frame_reaches_as_far_as_the_context(models: Path) -> None:
    """With positive weights nothing cancels out: each sample that depends on a frame changes with it."""
    decoder = Codec.load(models / CODEC_FOLDER, torch.device("cpu"), torch.float32)._decoder.double()
    for parameter in decoder.parameters():
        parameter.data = parameter.data.abs() + 0.01
    samples: list[torch.Tensor] = []
    decoder.conv2.register_forward_hook(lambda _module, _inputs, output: samples.append(output))  # before its tanh
    latents = torch.rand(1, 64, 70, dtype=torch.float64)
    changed = latents.clone()
    changed[..., 35] += 1
    with torch.inference_mode():
        decoder(latents), decoder(changed)
    differs = (samples[0] != samples[1]).reshape(70, -1).any(1).nonzero().flatten()
    assert (int(differs.min()), int(differs.max())) == (35 - CONTEXT, 35 + CONTEXT)


def test_the_rate_is_the_checkpoints(codec: Codec) -> None:
    assert (codec.rate, codec.hop) == (44_100, 512)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCheckpointError, match=f"{tmp_path}/none is no DAC checkpoint"):
        Codec.load(tmp_path / "none", torch.device("cpu"), torch.float32)
