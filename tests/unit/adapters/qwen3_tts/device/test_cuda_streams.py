"""What is asked of CUDA beside streams and graphs, where there is none."""

from __future__ import annotations

import pytest
import torch

from adapters.qwen3_tts.inflight.device.async_copy import AsyncCopy
from adapters.qwen3_tts.inflight.device.cuda_streams import disable_cudnn_attention


@pytest.mark.parametrize(("device", "asked"), [("cpu", []), ("cuda:1", [False])])
def test_cudnn_is_left_out_of_attention_on_a_gpu_and_settings_of_a_cpu_stay(
    device: str, asked: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bool] = []
    monkeypatch.setattr(torch.backends.cuda, "enable_cudnn_sdp", heard.append)
    disable_cudnn_attention(torch.device(device))
    assert heard == asked


def test_what_has_been_handed_over_does_not_change_with_its_tensor() -> None:
    tensor = torch.ones(3)
    copy = AsyncCopy(tensor)
    tensor.zero_()
    assert copy.is_ready
    assert copy.wait().tolist() == [1, 1, 1]
