"""Padding does not change a row's result."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from adapters.kokoro.gpu.decoder import Source, Spectrum
from adapters.kokoro.gpu.layers import STYLE, AdaptiveNorm, BiLstm, Rows, SnakeBlock, StyledBlock
from adapters.kokoro.gpu.module import frames_of

LENGTHS = (5, 9, 2)
SIZE = 12


@pytest.fixture(autouse=True)
def fixed() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.no_grad():
        yield


@pytest.fixture
def rows() -> Rows:
    return Rows(torch.tensor(LENGTHS), SIZE)


def alone(n: int) -> Rows:
    return Rows(torch.tensor([LENGTHS[n]]), LENGTHS[n])


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("make", [AdaptiveNorm, lambda n: SnakeBlock(n, 11)], ids=["norm", "snake block"])
def test_rows_of_a_layer_equal_those_alone(make, rows: Rows) -> None:
    layer = make(8)
    x, style = torch.randn(3, 8, SIZE) * rows.mask, torch.randn(3, STYLE)
    y = layer(x, style, rows)
    for n, length in enumerate(LENGTHS):
        assert close(y[n : n + 1, :, :length], layer(x[n : n + 1, :, :length], style[n : n + 1], alone(n)))
        assert not y[n, :, length:].any()


@pytest.mark.parametrize("doubles", [False, True])
def test_rows_of_a_styled_block_equal_those_alone(rows: Rows, doubles: bool) -> None:
    block = StyledBlock(8, 6, doubles=doubles)
    x, style = torch.randn(3, 8, SIZE) * rows.mask, torch.randn(3, STYLE)
    y, at = block(x, style, rows)
    assert at.lengths.tolist() == [length * (1 + doubles) for length in LENGTHS]
    for n, length in enumerate(LENGTHS):
        expected, _ = block(x[n : n + 1, :, :length], style[n : n + 1], alone(n))
        assert close(y[n : n + 1, :, : at.lengths[n]], expected)
        assert not y[n, :, at.lengths[n] :].any()


def test_rows_of_a_recurrent_layer_equal_those_alone(rows: Rows) -> None:
    lstm, x = BiLstm(8, 6), torch.randn(3, SIZE, 8)
    y = lstm(x, rows)
    for n, length in enumerate(LENGTHS):
        assert close(y[n : n + 1, :length], lstm(x[n : n + 1, :length], alone(n)))


def test_a_recurrent_layer_equals_torchs_own() -> None:
    theirs = torch.nn.LSTM(8, 3, batch_first=True, bidirectional=True)
    ours, x = BiLstm(8, 6), torch.randn(1, 7, 8)
    for name, values in theirs.state_dict().items():
        part = ours.back if name.endswith("_reverse") else ours.ahead
        part.load_state_dict({name.removesuffix("_reverse"): values}, strict=False)
    assert close(ours(x, Rows(torch.tensor([7]), 7)), theirs(x)[0])


def test_the_spectrum_equals_torchs_own_and_rows_equal_those_alone() -> None:
    spectrum, lengths = Spectrum(), (200, 600, 400)
    samples = torch.randn(3, 600)
    analyzed = spectrum.analyze(samples, Rows(torch.tensor(lengths), 600))
    window = torch.hann_window(20)
    for n, length in enumerate(lengths):
        expected = torch.stft(samples[n, :length], 20, 5, window=window, return_complex=True)
        magnitudes, phases = analyzed[n, :, : length // 5 + 1].chunk(2)
        assert close(torch.polar(magnitudes, phases).real, expected.real)
        assert close(torch.polar(magnitudes, phases).imag, expected.imag)


def test_a_spectrum_becomes_its_samples_again() -> None:
    """Windows overlap fourfold: the sum of their squares is 1.5 away from the ends, which the level keeps."""
    spectrum, samples = Spectrum(), torch.randn(1, 300)
    magnitudes, phases = spectrum.analyze(samples, Rows(torch.tensor([300]), 300)).chunk(2, 1)
    again = spectrum.synthesize(magnitudes, phases, Rows(torch.tensor([61]), 61))
    assert again.shape == samples.shape
    assert close(again[:, 20:-20], 1.5 * samples[:, 20:-20])


def test_the_source_has_the_pitch_and_falls_silent_where_there_is_none() -> None:
    source = Source()
    f0 = torch.full((1, 40), 240.0)
    f0[0, 20:] = 0
    samples = source(f0, noisy=False)[0]
    period = 24000 // 240
    voiced = samples[600:5400]
    assert close(voiced[period:], voiced[:-period])
    assert (samples[6300:] - torch.tanh(source.l_linear.bias)).abs().max() < 1e-6


def test_a_row_of_the_source_does_not_depend_on_its_padding() -> None:
    source, f0 = Source(), torch.rand(1, 10) * 200
    longer = source(torch.cat([f0, torch.zeros(1, 6)], 1))
    # The phase of the last half of a number goes on towards the padding, where there is no sound.
    assert close(longer[:, : 10 * 300 - 150], source(f0)[:, : 10 * 300 - 150])


def test_features_of_frames_repeat_those_of_tokens() -> None:
    features = torch.arange(8.0).reshape(2, 4, 1)
    durations = torch.tensor([[1, 2, 1, 0], [2, 0, 0, 3]])
    assert frames_of(features, durations.float(), 5)[:, :, 0].tolist() == [[0, 1, 1, 2, 3], [4, 4, 7, 7, 7]]
