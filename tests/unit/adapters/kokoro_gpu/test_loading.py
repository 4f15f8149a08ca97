"""The settings of Kokoro on a GPU, on a pretended one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from adapters.inflight.precision import UnusableRuntimeError
from adapters.kokoro.gpu.loading import load
from adapters.kokoro.gpu.module import Kokoro
from adapters.triton.instance import Instance
from tests.unit.adapters.kokoro_gpu.small_network import inputs, small_module
from tests.unit.pretended_cuda import PretendedCuda


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cuda: PretendedCuda) -> Instance:
    """Return an instance on the GPU, whose checkpoint is a narrow network, and which captures nothing at the load."""
    del cuda
    (tmp_path / "model.onnx").touch()
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 7}}}), "utf-8")

    def small(model: Path, device: torch.device, dtype: torch.dtype) -> Kokoro:
        assert model.is_file()
        return small_module().prepare(device, dtype)

    monkeypatch.setattr(Kokoro, "load", small)
    monkeypatch.setattr("adapters.kokoro.gpu.network._PREPARED_ROWS", ())
    return Instance("kokoro-82m", "cuda", 0, tmp_path, 1, {})


def test_the_decoder_has_float32_and_batches_have_graphs_by_default(instance: Instance, cuda: PretendedCuda) -> None:
    lines: list[str] = []
    network = load(instance, lines.append)
    network.speak_all(inputs(5))
    assert "decoder in float32" in lines[0]
    assert network.tokens("ab") == [7]
    assert cuda.driver.captured == 2


def test_the_decoder_has_the_precision_of_the_setting(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOKORO_DTYPE", "float16")
    assert load(instance, print)._module.dtype == torch.float16


def test_a_precision_that_the_gpu_lacks_is_rejected(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOKORO_DTYPE", "bfloat16")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.raises(UnusableRuntimeError, match="KOKORO_DTYPE=bfloat16"):
        load(instance, print)


def test_a_batch_has_the_frames_of_the_setting(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = np.full(8, 256)
    assert len(list(load(instance, print)._plan(frames))) == 1
    monkeypatch.setenv("KOKORO_BATCH_FRAMES", "512")
    assert len(list(load(instance, print)._plan(frames))) == 4


def test_graphs_can_be_turned_off(instance: Instance, cuda: PretendedCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOKORO_CUDA_GRAPHS", "off")
    load(instance, print).speak_all(inputs(5))
    assert cuda.driver.captured == 0
