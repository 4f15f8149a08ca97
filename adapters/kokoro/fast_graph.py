"""Kokoro's graph, faster, from the published one.

The generator does nine tenths of the work, in 48 convolutions. The published graph computes them in eight bits, with
the operators of their activations one after the other. Here:

- on a CPU with VNNI, the convolutions have signed inputs (`signed_convolution`), those before the generator as well;
- on another CPU, the generator's convolutions are float32: one of K taps is computed eight samples at a time, from
  K + 7 products for each pair of channels instead of 8 K, as products of matrices (`tiled_convolution`);
- an adaptive instance normalization is one operator instead of nine;
- the activation x + sin(a x)^2 / a (Snake) becomes v + sin(pi v)^2 / pi with v = a x / pi: a / pi goes into the
  normalization before it, and pi / a into the weights of the convolution after it, if they are float32. The sine, which
  onnxruntime computes on one thread, is a polynomial;
- the Fourier transform of the source, which onnxruntime computes on one thread as well, is two convolutions
  (`source_transform`).

All operators are standard. Everything before the generator is as published, with the durations and the pitch: its
results are those of the published graph, to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import onnx
from onnx import NodeProto, helper

from adapters.kokoro.graph import DURATIONS
from adapters.kokoro.graph_editor import Graph, UnknownGraphError
from adapters.kokoro.signed_convolution import scales_and_bias, use_signed_inputs
from adapters.kokoro.source_transform import use_convolutions
from adapters.kokoro.tiled_convolution import use_tiles

GENERATOR: Final = "/decoder/decoder/generator/"
"""The beginning of the names of the generator's nodes."""
_SNAKE_A: Final = 2.45968029
_SNAKE_B: Final = -0.76131880


def build(published: Path, out: BinaryIO, data: BinaryIO | None = None, location: str = "", *, for_vnni: bool) -> None:
    """Write the fast graph, with the durations as an output, of the model in a file.

    `data` and `location`: as for `Graph.write`. `for_vnni`: the graph is for a CPU with VNNI; on others, sums overflow.

    Raises `UnknownGraphError`, before it writes, for another model than Kokoro's in eight bits.
    """
    model = onnx.load(published)
    if not any(DURATIONS in node.output for node in model.graph.node):
        raise UnknownGraphError("it has no durations")
    model.graph.output.add(name=DURATIONS)
    graph = Graph(model)
    if not for_vnni:
        _expect(48, _use_float_weights(graph), "convolutions in eight bits in the generator")
    _expect(48, _join_normalizations(graph), "instance normalizations in the generator")
    _expect(48, _fold_snake(graph), "Snake activations in the generator")
    if for_vnni:
        _expect(87, use_signed_inputs(graph, GENERATOR), "convolutions in eight bits")
    else:
        _expect(48, use_tiles(graph), "convolutions in the generator")
    _expect(1, use_convolutions(graph), "Fourier transforms")
    graph.write(out, data, location)


def _use_float_weights(graph: Graph) -> int:
    """Compute the generator's convolutions with as many input as output channels in float32, with the same weights."""
    replacements: dict[int, list[NodeProto]] = {}
    for node in graph.nodes:
        if node.op_type != "ConvInteger" or not node.name.startswith(GENERATOR):
            continue
        shape = graph.constant(node.input[1]).shape
        if shape[0] != shape[1]:
            continue
        *_, scaled = graph.follow(node, "Add", "Cast", "Mul")
        quantize = graph.producer[node.input[0]]
        _, scale, bias = scales_and_bias(graph, node)
        weights = graph.constant(node.input[1]).astype(np.float32) - graph.constant(node.input[3])
        weights = (weights * graph.constant(scale)).astype(np.float32)
        name = node.name.removesuffix("_quant")
        inputs = [quantize.input[0], graph.add_constant(f"{name}/weights", weights), bias]
        float_ = helper.make_node("Conv", inputs, [scaled.output[0]], name=name)
        float_.attribute.extend(node.attribute)
        replacements[id(scaled)] = [float_]
    graph.replace(replacements)
    return len(replacements)


def _join_normalizations(graph: Graph) -> int:
    """Make one operator of each of the generator's adaptive instance normalizations, and return their number.

    (x - mean) / sqrt(variance + epsilon), which several may share, times a scale, plus a bias.
    """
    replacements: dict[int, list[NodeProto]] = {}
    flat = graph.add_constant("fast/flat", np.array([-1], np.int64))
    for root in graph.nodes:
        if root.op_type != "Sqrt" or not root.name.startswith(GENERATOR):
            continue
        add_epsilon = graph.producer[root.input[0]]
        if not any(graph.is_constant(name) for name in add_epsilon.input):
            continue  # the magnitude of the source's spectrum
        variance, epsilon = graph.inputs(add_epsilon)
        square = graph.producer[graph.producer[variance].input[0]]
        centered = graph.producer[square.input[0]]
        if centered.op_type != "Sub":
            raise UnknownGraphError(f"no difference from the mean before {root.name}")
        (divide,) = graph.follow(root, "Div")
        for scaled in graph.consumers[divide.output[0]]:
            (added,) = graph.follow(scaled, "Add")
            scale, bias = _other(scaled, divide.output[0]), _other(added, scaled.output[0])
            replacements[id(added)] = [
                helper.make_node("Reshape", [scale, flat], [f"{added.name}/scale"]),
                helper.make_node("Reshape", [bias, flat], [f"{added.name}/bias"]),
                helper.make_node(
                    "InstanceNormalization",
                    [centered.input[0], f"{added.name}/scale", f"{added.name}/bias"],
                    [added.output[0]],
                    name=f"{added.name}/norm",
                    epsilon=float(epsilon),
                ),
            ]
    graph.replace(replacements)
    return len(replacements)


def _fold_snake(graph: Graph) -> int:
    """Move the factors of each Snake into the normalization before it and the convolution after it."""
    replacements: dict[int, list[NodeProto]] = {}
    for sine in graph.nodes:
        if sine.op_type != "Sin" or not sine.name.startswith(GENERATOR):
            continue
        multiply = graph.producer[sine.input[0]]
        if multiply.op_type != "Mul" or not any(graph.is_constant(name) for name in multiply.input):
            continue  # not of an activation, but of the source
        normalized, alpha = graph.inputs(multiply)
        norm = graph.producer[normalized]
        _, scaled, added = graph.follow(sine, "Pow", "Mul", "Add")
        users = graph.consumers[added.output[0]]
        if norm.op_type != "InstanceNormalization" or len(users) != 1:
            raise UnknownGraphError(f"no normalization before {sine.name}, or more than one convolution after it")
        inverse = graph.inputs(scaled)[1].reshape(1, -1, 1).astype(np.float64)
        periods = alpha.reshape(-1).astype(np.float64) / np.pi
        factor = graph.add_constant(f"{sine.name}/periods", periods.astype(np.float32))
        v, y = f"{sine.name}/v", added.output[0]
        x, scale, bias = norm.input
        epsilon = helper.get_node_attr_value(norm, "epsilon")
        replacements[id(norm)] = [
            helper.make_node("Mul", [scale, factor], [f"{v}_scale"]),
            helper.make_node("Mul", [bias, factor], [f"{v}_bias"]),
            helper.make_node("InstanceNormalization", [x, f"{v}_scale", f"{v}_bias"], [v], name=v, epsilon=epsilon),
        ]
        if users[0].op_type == "Conv":
            weights = (graph.constant(users[0].input[1]) * inverse * np.pi).astype(np.float32)
            users[0].input[1] = graph.add_constant(f"{sine.name}/weights", weights)
            replacements[id(added)] = list(snake(graph, v, y))
        else:
            amplitude = graph.add_constant(f"{sine.name}/amplitude", (inverse * np.pi).astype(np.float32))
            multiply = helper.make_node("Mul", [f"{v}/y", amplitude], [y], name=added.name)
            replacements[id(added)] = [*snake(graph, v, f"{v}/y"), multiply]
    graph.replace(replacements)
    return len(replacements) // 2


def snake(graph: Graph, v: str, y: str) -> Iterator[NodeProto]:
    """Yield the nodes for y = v + sin(pi v)^2 / pi.

    The sine's square has the period 1, so f = v - round(v) is enough. With p = f^2 (1 + b f^2), sin(pi f / 2)^2 is
    a p, and sin(pi f)^2 is 4 a p (1 - a p), which errs by 4e-4 at most.
    """
    scale = graph.add_constant("fast/snake", np.array(4 * _SNAKE_A / np.pi, np.float32))
    names = ("period", "f", "square", "inner", "p", "outer", "product", "sine")
    period, f, square, inner, p, outer, product, sine = (f"{v}/{name}" for name in names)
    yield helper.make_node("Round", [v], [period], name=period)
    yield helper.make_node("Sub", [v, period], [f], name=f)
    yield helper.make_node("Mul", [f, f], [square], name=square)
    # Between 0 and 1, a "hard sigmoid" is a product and a sum in one.
    yield helper.make_node("HardSigmoid", [square], [inner], name=inner, alpha=_SNAKE_B, beta=1.0)
    yield helper.make_node("Mul", [square, inner], [p], name=p)
    yield helper.make_node("HardSigmoid", [p], [outer], name=outer, alpha=-_SNAKE_A, beta=1.0)
    yield helper.make_node("Mul", [p, outer], [product], name=product)
    yield helper.make_node("Mul", [product, scale], [sine], name=sine)
    yield helper.make_node("Add", [v, sine], [y], name=y)


def _other(node: NodeProto, name: str) -> str:
    first, second = node.input
    return str(second if first == name else first)


def _expect(count: int, found: int, what: str) -> None:
    if found != count:
        raise UnknownGraphError(f"{found} {what}, not {count}")
