"""CUDA settings and copies, without CUDA."""

from __future__ import annotations

import pytest
import torch

from adapters.inflight.cuda_streams import disable_cudnn_attention
from adapters.qwen3_tts.inflight.device.async_copy import AsyncCopy


@pytest.mark.parametrize(("device", "expected"), [("cpu", []), ("cuda:1", [False])])
def test_cudnn_attention_is_disabled_on_a_gpu_only(
    device: str, expected: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bool] = []
    monkeypatch.setattr(torch.backends.cuda, "enable_cudnn_sdp", calls.append)
    disable_cudnn_attention(torch.device(device))
    assert calls == expected


def test_async_copy_does_not_change_with_its_tensor() -> None:
    tensor = torch.ones(3)
    copy = AsyncCopy(tensor)
    tensor.zero_()
    assert copy.is_ready
    assert copy.wait().tolist() == [1, 1, 1]
