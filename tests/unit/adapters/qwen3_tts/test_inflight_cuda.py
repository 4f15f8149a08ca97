"""What is asked of CUDA beside streams and graphs, where there is none."""

from __future__ import annotations

import pytest
import torch

from adapters.qwen3_tts.inflight.cuda import attend_without_cudnn
from adapters.qwen3_tts.inflight.transfer import Transfer


@pytest.mark.parametrize(("device", "asked"), [("cpu", []), ("cuda:1", [False])])
def test_cudnn_is_left_out_of_attention_on_a_gpu_and_settings_of_a_cpu_stay(
    device: str, asked: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bool] = []
    monkeypatch.setattr(torch.backends.cuda, "enable_cudnn_sdp", heard.append)
    attend_without_cudnn(torch.device(device))
    assert heard == asked


def test_what_has_been_handed_over_does_not_change_with_its_tensor() -> None:
    tensor = torch.ones(3)
    transfer = Transfer(tensor)
    tensor.zero_()
    assert transfer.arrived
    assert transfer.wait().tolist() == [1, 1, 1]
