"""Writing a network anew, with its constants and other operations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tritone.onnx_format import Network


@pytest.fixture(scope="module")
def published(weights: Path) -> bytes:
    return (weights / "silero-vad" / "silero_vad_16k_sequence.onnx").read_bytes()


def test_new_operations_compute_with_the_inputs_of_the_file_and_its_constants(published: bytes) -> None:
    network = Network(published)
    bias = network.constants["output.bias"]
    half = network.constant(np.array([0.5], np.float32))
    sum_ = network.add("Add", network.add("ReduceMax", "input", keepdims=0), network.constant(bias))
    network.add("Mul", sum_, half, outputs=("speech_probs",))
    network.add("Pad", "h", network.constant(np.zeros(6, np.int64)), mode="reflect", outputs=("hn",))
    network.add("Identity", "c", outputs=("cn",))
    session = onnxruntime.InferenceSession(network.file(), providers=["CPUExecutionProvider"])
    state = np.arange(128, dtype=np.float32).reshape(1, 1, 128)
    inputs = {"input": np.full((2, 576), 3, np.float32), "h": state, "c": -state}
    output, hidden, cell = session.run(None, inputs)
    np.testing.assert_allclose(output, (3 + bias[0]) / 2)
    np.testing.assert_array_equal(hidden, state)
    np.testing.assert_array_equal(cell, -state)


def test_constants_have_the_values_of_the_file(published: bytes) -> None:
    basis = Network(published).constants["stft.forward_basis_buffer"]
    assert basis.shape == (258, 1, 256)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    np.testing.assert_allclose(basis[0, 0], window, atol=1e-6)
