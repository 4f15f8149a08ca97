"""Kokoro's graph with the durations of its phonemes as a second output.

The published graph computes them and returns only the samples. onnxruntime returns only declared outputs.
"""

from __future__ import annotations

from typing import Final

DURATIONS: Final = "/encoder/Clip_output_0"
"""The tensor of the frames that each token takes: float32 [1, tokens]."""

# Field numbers of ONNX: ModelProto.graph, GraphProto.initializer and .output, ValueInfoProto.name.
_GRAPH, _INITIALIZER, _OUTPUT, _NAME = 7, 5, 12, 1


def with_durations(model: bytes) -> bytes | None:
    """Return the serialized model with `DURATIONS` as its last output; None if it has no such tensor.

    A message of Protocol Buffers that is appended to another is merged into it: repeated fields get its elements.
    """
    name = DURATIONS.encode()
    if name not in model:
        return None
    return model + _message(_GRAPH, _message(_OUTPUT, _message(_NAME, name)))


def constant_header(size: int) -> bytes:
    """Return the bytes between a serialized model and a serialized constant of `size` bytes that is appended to it."""
    constant = _header(_INITIALIZER, size)
    return _header(_GRAPH, len(constant) + size) + constant


def _message(number: int, content: bytes) -> bytes:
    return _header(number, len(content)) + content


def _header(number: int, size: int) -> bytes:
    """Return the beginning of a field of Protocol Buffers with `size` bytes as its value."""
    header = bytearray([number << 3 | 2])
    while size >= 0x80:
        header.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*header, size])
