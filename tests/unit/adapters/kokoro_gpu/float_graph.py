"""The published graph of Kokoro in float32: the same weights, and inputs that are not rounded to eight bits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

_SIZES = {"ConvInteger": "Conv", "MatMulInteger": "MatMul"}


def float_graph(published: Path, outputs: Sequence[str]) -> onnx.ModelProto:
    """Return the graph with its operators of eight bits replaced, and with other tensors as outputs, too."""
    model = onnx.load(published)
    graph = model.graph
    values = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    producer = {name: node for node in graph.node for name in node.output}
    consumers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)

    def constant(name: str, content: np.ndarray) -> str:
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(content, np.float32), name))
        return name

    def product(node: NodeProto) -> tuple[NodeProto, NodeProto]:
        """Return the node that makes float32 of a convolution or a product, and what replaces it."""
        name = node.input[1]
        scale = values[name.removesuffix("_quantized") + "_scale"]
        weights = constant(f"{node.name}/w", (values[name].astype(np.float32) - values[node.input[3]]) * scale)
        inputs = [producer[node.input[0]].input[0], weights]
        (after,) = consumers[node.output[0]]
        if after.op_type == "Add":
            step = producer[next(each for each in after.input if each != node.output[0])]
            while step.op_type != "Div":
                step = producer[step.input[0]]
            inputs.append(step.input[0])  # the bias, before it is divided by the scale and rounded
            (after,) = consumers[after.output[0]]
        (scaled,) = consumers[after.output[0]]
        replacement = helper.make_node(_SIZES[node.op_type], inputs, scaled.output, name=f"{node.name}/float")
        replacement.attribute.extend(node.attribute if node.op_type == "ConvInteger" else [])
        return scaled, replacement

    def recurrent(node: NodeProto) -> NodeProto:
        kernels = [
            constant(f"{node.name}/{at}", np.swapaxes(values[node.input[at]] * scale[:, None, None], 1, 2))
            for at, scale in ((1, values[node.input[8]]), (2, values[node.input[10]]))
        ]
        inputs = [node.input[0], *kernels, node.input[3]]
        return helper.make_node("LSTM", inputs, node.output, direction="bidirectional", hidden_size=256)

    replaced = {id(each): new for node in graph.node if node.op_type in _SIZES for each, new in [product(node)]}
    replaced |= {id(node): recurrent(node) for node in graph.node if node.op_type == "DynamicQuantizeLSTM"}
    needed = {*outputs, *(each.name for each in graph.output)}
    nodes = []
    for node in reversed([replaced.get(id(node), node) for node in graph.node]):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    kept = [each for each in graph.initializer if each.name in needed]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(reversed(nodes))
    graph.initializer.extend(kept)
    for name in outputs:
        graph.output.add(name=name)
    return model
