"""A checkpoint of Qwen3-TTS on a pretended GPU: its files are read to the GPU.

Its kernels run in the interpreter of the Triton language, or plain torch replaces them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedModel

from adapters.qwen3_tts.inflight.codec import decoder
from adapters.qwen3_tts.inflight.codec import weights as codec_weights
from adapters.qwen3_tts.inflight.model import fused_backend, stepper, weights
from tests.unit.adapters.qwen3_tts.model.kernel_stand_ins import StandInDecoder, StandInRowSampler
from tests.unit.pretended_cuda import PretendedCuda
from tests.unit.pretended_cuda.files import load_file, safe_open
from tests.unit.pretended_cuda.kernels import interpreted_kernels
from tools.tiny_models.qwen3_tts import write_checkpoint
from tools.tiny_models.shapes import SHAPES


@contextmanager
def pretended_gpu(cuda: PretendedCuda, *, kernels: bool = False) -> Iterator[PretendedCuda]:
    """Let a checkpoint be loaded on a pretended GPU, with graphs.

    `kernels`: interpret the kernels; else plain torch replaces those of the decoder and the sampler.
    """
    loaded = PreTrainedModel.from_pretrained.__func__

    def from_pretrained(kind: Any, *args: Any, device_map: str = "cpu", **options: Any) -> Any:
        return loaded(kind, *args, **options).to(device_map)

    with pytest.MonkeyPatch.context() as patch, cuda():
        patch.setattr(weights, "load_file", load_file)
        patch.setattr(codec_weights, "safe_open", safe_open)
        patch.setattr(PreTrainedModel, "from_pretrained", classmethod(from_pretrained))
        if kernels:
            with interpreted_kernels(cuda.driver):
                yield cuda
            return
        patch.setattr(fused_backend, "FusedDecoder", StandInDecoder)
        patch.setattr(fused_backend, "FusedRowSampler", StandInRowSampler)
        patch.setattr(stepper, "available", lambda device: True)
        patch.setattr(decoder, "available", lambda device: False)
        yield cuda


def write_small(folder: Path, kind: Any) -> Path:
    """Write a checkpoint of one layer each, in bfloat16."""
    shape = SHAPES["tiny"]["1.7B"]
    talker, predictor = replace(shape.talker, layers=1, hidden=32), replace(shape.predictor, layers=1)
    write_checkpoint(folder, kind, replace(shape, talker=talker, predictor=predictor, dtype="bfloat16"))
    return folder
