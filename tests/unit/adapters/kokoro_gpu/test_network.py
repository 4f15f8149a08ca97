"""Batches of pieces: the same speech in any batch, on a CPU and on a pretended GPU."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from adapters.kokoro.gpu import network as network_module
from adapters.kokoro.gpu.network import GpuNetwork, bucket
from adapters.kokoro.synthesis import FRAME
from adapters.triton.lost_gpu import GpuLost
from tests.unit.adapters.kokoro_gpu.small_network import inputs
from tests.unit.pretended_cuda import CUDA, PretendedCuda

Make = Callable[..., GpuNetwork]


def decibels(signal: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(signal**2) / (np.sum((signal - other) ** 2) + 1e-12)))


@pytest.mark.parametrize("length", [1, 31, 32, 33, 63, 65, 100, 129, 5000])
def test_a_padded_length_wastes_at_most_a_quarter(length: int) -> None:
    padded = bucket(length, 32)
    assert length <= padded <= max(32, length * 1.25)
    assert bucket(padded, 32) == padded


def test_a_padded_length_has_a_limit() -> None:
    assert bucket(500, 32, 505) == 505


@pytest.mark.usefixtures("continuous_phase")
def test_a_piece_is_the_same_alone_and_in_a_batch(network: Make) -> None:
    made, pieces = network(), inputs(30, 4, 12, 60, 12)
    together = made.speak_all(pieces)
    for piece, (samples, durations) in zip(pieces, together, strict=True):
        alone, alone_durations = made.speak(*piece)
        assert len(durations) == len(piece[0]) + 2
        assert durations.tolist() == alone_durations.tolist()
        assert len(samples) == durations.sum() * FRAME == len(alone)
        assert decibels(alone, samples) > 70


def test_a_piece_at_half_the_speed_has_more_frames(network: Make) -> None:
    made = network()
    (slow, _), (fast, _) = (made.speak_all(inputs(20, speed=speed))[0] for speed in (0.7, 1.3))
    assert len(slow) > 1.4 * len(fast)


def test_batches_are_powers_of_two_within_the_limit_of_frames(network: Make) -> None:
    made = network(batch_frames=1024)
    frames = np.random.default_rng(0).integers(1, 900, 45)
    plan = list(made._plan(frames))
    assert sorted(row for rows in plan for row in rows) == list(range(45))
    for rows in plan:
        assert len(rows) & (len(rows) - 1) == 0
        assert len(rows) == 1 or len(rows) * bucket(int(frames[rows].max()), 64) <= 1024
    assert max(map(len, plan)) > 4


def test_an_error_of_a_lost_gpu_is_told_from_others(network: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = network()

    def fail(*_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(made, "_read", fail)
    with pytest.raises(RuntimeError, match="illegal"):
        made.speak_all(inputs(3))
    monkeypatch.setattr(network_module, "is_usable", lambda device: False)
    with pytest.raises(GpuLost):
        made.speak_all(inputs(3))


@pytest.mark.usefixtures("continuous_phase")
def test_graphs_on_a_pretended_gpu_give_the_speech_of_a_cpu(network: Make, cuda: PretendedCuda) -> None:
    pieces = inputs(10, 3, 5, 8, 13)
    expected = network().speak_all(pieces)
    made = network(CUDA)
    for _ in range(2):  # captured, then replayed
        spoken = made.speak_all(pieces)
    assert cuda.driver.breaches == []
    assert cuda.driver.replays == 2 * cuda.driver.captured > 2
    for (samples, durations), (theirs, their_durations) in zip(spoken, expected, strict=True):
        assert durations.tolist() == their_durations.tolist()
        assert decibels(theirs, samples) > 70


def test_graphs_are_captured_at_the_load(network: Make, cuda: PretendedCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_module, "_PREPARED_ROWS", (1, 2))
    monkeypatch.setattr(network_module, "_PREPARED_TOKENS", 32)
    monkeypatch.setattr(network_module, "_PREPARED_FRAMES", 64)
    made = network(CUDA)
    assert made.capture() == cuda.driver.captured == 4
    made.speak_all(inputs(5))
    assert cuda.driver.captured == 4
    assert cuda.driver.breaches == []


def test_a_batch_above_the_limit_has_no_graph_and_keeps_no_inputs(
    network: Make, cuda: PretendedCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        network_module, "_CAPTURED", 100
    )  # a row of 32 tokens has a graph; four, and 64 frames each, none
    made = network(CUDA)
    made.speak_all(inputs(3, 3, 3, 3))
    assert (cuda.driver.captured, len(made._inputs)) == (0, 0)
    made.speak_all(inputs(3))
    assert cuda.driver.captured == len(made._inputs) == 2
    assert cuda.driver.breaches == []


def test_without_graphs_nothing_is_captured(network: Make, cuda: PretendedCuda) -> None:
    made = network(CUDA, graphs=False)
    assert made.capture() == 0
    made.speak_all(inputs(5, 7))
    assert cuda.driver.captured == 0
    assert cuda.driver.breaches == []


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_precisions_fit_on_a_pretended_gpu(network: Make, dtype: torch.dtype) -> None:
    made = network(CUDA, graphs=False)
    made._module.prepare(CUDA, dtype)
    ((samples, _),) = made.speak_all(inputs(5))
    assert np.isfinite(samples).all()
