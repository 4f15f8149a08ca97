"""Convolutions in eight bits with signed inputs, which CPUs with VNNI multiply twice as fast.

VNNI multiplies unsigned numbers by signed ones. The published graph has unsigned weights and unsigned inputs, for which
onnxruntime takes products of 16 bits. Here the inputs are signed: 128 less than published, and so is their zero point,
which makes every sum the same. Without VNNI, onnxruntime's kernel for these types adds two products in 16 bits, which
overflow.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import NodeProto, TensorProto, helper

from adapters.kokoro.graph_editor import Graph, only


def use_signed_inputs(graph: Graph, float_bias: str) -> int:
    """Give each convolution in eight bits a signed input, and return their number.

    Where a node's name begins with `float_bias`, the sums become float32 in one step, and its bias is added after that
    and not rounded, or left out where it has no effect. Elsewhere the results are those of the published graph.
    """
    replacements: dict[int, list[NodeProto]] = {}
    found = 0
    for quantize in graph.nodes:
        if quantize.op_type != "DynamicQuantizeLinear":
            continue
        users = [node for node in graph.consumers[quantize.output[0]] if node.op_type == "ConvInteger"]
        if not users:
            continue
        found += len(users)
        signed, zero_point = f"{quantize.output[0]}/signed", f"{quantize.output[2]}/signed"
        replacements[id(quantize)] = [quantize, *_sign(graph, quantize, signed, zero_point)]
        for node in users:
            node.input[0], node.input[2] = signed, zero_point
            if node.name.startswith(float_bias):
                *_, scaled = graph.follow(node, "Add", "Cast", "Mul")
                replacements[id(scaled)] = list(_to_float(graph, node, scaled.output[0]))
    graph.replace(replacements)
    return found


def _sign(graph: Graph, quantize: NodeProto, signed: str, zero_point: str) -> Iterator[NodeProto]:
    """Yield the nodes that quantize to the same numbers less 128."""
    x, (_, scale, unsigned_zero) = quantize.input[0], quantize.output
    flipped = f"{unsigned_zero}/flipped"
    highest_bit = graph.add_constant("fast/highest_bit", np.array(128, np.uint8))
    yield helper.make_node("BitwiseXor", [unsigned_zero, highest_bit], [flipped], name=flipped)
    yield helper.make_node("Cast", [flipped], [zero_point], name=zero_point, to=TensorProto.INT8)
    yield helper.make_node("QuantizeLinear", [x, scale, zero_point], [signed], name=signed)


def _to_float(graph: Graph, convolution: NodeProto, output: str) -> Iterator[NodeProto]:
    """Yield the nodes that make float32 of a convolution's sums."""
    scale, _, bias = scales_and_bias(graph, convolution)
    name = f"{convolution.name}/float"
    before, addition = graph.add_bias(output, bias)
    yield helper.make_node("DequantizeLinear", [convolution.output[0], scale], [before], name=name)
    yield from addition


def scales_and_bias(graph: Graph, convolution: NodeProto) -> tuple[str, str, str]:
    """Return the names of the scale of a convolution's sums in eight bits, of that of its weights, and of its bias."""
    *_, cast, scaled = graph.follow(convolution, "Add", "Cast", "Mul")
    (scale,) = (name for name in scaled.input if name != cast.output[0])
    _, weights_scale = graph.producer[scale].input
    divide = only([each for each in graph.consumers[scale] if each.op_type == "Div"], "Div", convolution)
    return scale, weights_scale, divide.input[0]
