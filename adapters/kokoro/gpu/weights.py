"""The weights of the torch network, from the published graph: numbers of eight bits times their scales."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper
from torch import Tensor

_Array = NDArray[Any]

_NAMES: Final = (
    (r"^decoder\.decoder\.", "decoder."),
    (r"^encoder\.(shared|F0|N|F0_proj|N_proj)\b", r"predictor.\1"),
    (r"^encoder\.(bert|bert_encoder|text_encoder|predictor)\b", r"\1"),
    (r"duration_proj\.linear_layer", "duration_proj"),
    (r"^bert\.embeddings\.LayerNorm", "bert.embedding_norm"),
    (r"^bert\.embeddings\.", "bert."),
    (r"^bert\.encoder\.embedding_hidden_mapping_in", "bert.widen"),
    (r"^bert\.encoder\.albert_layer_groups\.0\.albert_layers\.0\.", "bert."),
    (r"^bert\.full_layer_layer_norm", "bert.ffn_norm"),
    (r"^bert\.attention\.LayerNorm", "bert.attention_norm"),
    (r"^bert\.attention\.", "bert."),
)
"""Parts of the graph's names -> those of the modules here, one after the other."""
_REPEATED = re.compile(r"/bert/.*_\d+/")
"""The later layers of ALBERT: their weights are the first one's."""
_OPERATOR = re.compile(r"/(Gemm_MatMul|MatMul|Conv|ConvTranspose|LSTM)(_quant)?$")
_EMBEDDING = re.compile(r"(.*embeddings?\.weight)_quantized")
_FLOATS = re.compile(r"\.(bias|gamma|beta|weight|alpha[12]\.\d)$")


class UnknownWeightsError(ValueError):
    """The file is not Kokoro as published; the message names the first parts that are missing or unknown."""


def read(model: Path) -> dict[str, Tensor]:
    """Return the parameters of `adapters.kokoro.gpu.module.Kokoro` by name, in float32.

    Raises `FileNotFoundError` if the file is missing. Another model than Kokoro's gives other names.
    """
    graph = onnx.load(model).graph
    constants = {each.name: each for each in graph.initializer}
    found: dict[str, _Array] = {}
    for name, constant in constants.items():
        if _FLOATS.search(name) and constant.data_type == onnx.TensorProto.FLOAT:
            found[_renamed(name)] = numpy_helper.to_array(constant)
        elif match := _EMBEDDING.fullmatch(name):  # their zero points are 0
            scale = numpy_helper.to_array(constants[f"{match[1]}_scale"])
            found[_renamed(match[1])] = numpy_helper.to_array(constant) * scale
    for node in graph.node:
        found.update(_parameters(node, constants))
    return {name: torch.from_numpy(np.array(values, np.float32)) for name, values in found.items()}


def _parameters(node: NodeProto, constants: dict[str, onnx.TensorProto]) -> Iterator[tuple[str, _Array]]:
    """Yield the parameters that an operator has, with their names here."""

    def constant(index: int) -> _Array:
        return numpy_helper.to_array(constants[node.input[index]])

    def scaled(index: int, scale: int | None = None, zero: int = 3) -> _Array:
        """Return the float32 values of a constant in eight bits; its scale is another input, or has a name like it."""
        name = f"{node.input[index].removesuffix('_quantized')}_scale" if scale is None else node.input[scale]
        factors, offsets = numpy_helper.to_array(constants[name]), constant(zero).astype(np.float32)
        if factors.ndim and constant(index).ndim == 3:  # one for each direction
            factors, offsets = factors[:, None, None], offsets[:, None, None]
        values: _Array = (constant(index).astype(np.float32) - offsets) * factors
        return values

    if not (match := _OPERATOR.search(node.name)) or _REPEATED.search(node.name):
        return
    name = _renamed(_path(node.name[: match.start()]))
    match node.op_type:
        case "ConvInteger":
            yield f"{name}.weight", scaled(1)
        case "MatMulInteger":
            yield f"{name}.weight", scaled(1).T
        case "Conv" | "ConvTranspose" if "istft" not in node.name:
            yield f"{name}.weight", constant(1)
        case "MatMul" if node.input[1] in constants:
            yield f"{name}.weight", constant(1).T
        case "DynamicQuantizeLSTM":
            kernels = scaled(1, scale=8, zero=9), scaled(2, scale=10, zero=11)
            for direction, part in enumerate(("ahead", "back")):
                biases = np.split(constant(3)[direction], 2)
                for kind, kernel, bias in zip(("ih", "hh"), kernels, biases, strict=True):
                    yield f"{name}.{part}.weight_{kind}_l0", _gates(kernel[direction].T)
                    yield f"{name}.{part}.bias_{kind}_l0", _gates(bias)


def _gates(values: _Array) -> _Array:
    """Return the rows of a recurrent layer in torch's order of gates: input, forget, cell, output."""
    input_, output, forget, cell = np.split(values, 4)
    return np.concatenate([input_, forget, cell, output])


def _path(node: str) -> str:
    """Return the name of the module that a node belongs to: `/encoder/cnn.0/cnn.0.1` is `encoder.cnn.0.1`."""
    parts = node.strip("/").split("/")
    kept = [part for part, after in zip(parts, [*parts[1:], ""], strict=True) if not after.startswith(f"{part}.")]
    return ".".join(kept)


def _renamed(name: str) -> str:
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    return name
