"""Kokoro's graph with the durations of its phonemes as a second output.

The published graph computes them and returns only the samples. onnxruntime returns only declared outputs.
"""

from __future__ import annotations

from typing import Final

DURATIONS: Final = "/encoder/Clip_output_0"
"""The tensor of the frames that each token takes: float32 [1, tokens]."""

# Field numbers of ONNX: ModelProto.graph, GraphProto.output, ValueInfoProto.name.
_GRAPH, _OUTPUT, _NAME = 7, 12, 1


def with_durations(model: bytes) -> bytes | None:
    """Return the serialized model with `DURATIONS` as its last output; None if it has no such tensor.

    A message of Protocol Buffers that is appended to another is merged into it: repeated fields get its elements.
    """
    name = DURATIONS.encode()
    if name not in model:
        return None
    return model + _message(_GRAPH, _message(_OUTPUT, _message(_NAME, name)))


def _message(number: int, content: bytes) -> bytes:
    """Return a field of Protocol Buffers with bytes as its value, fewer than 128."""
    return bytes([number << 3 | 2, len(content)]) + content
