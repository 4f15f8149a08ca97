"""Convolutions with fewer multiplications: eight samples at a time (Toom-Cook, known as Winograd's F(8, K))."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from adapters.kokoro.graph_editor import Graph, UnknownGraphError

TILE: Final = 8
"""Samples that a convolution computes at a time. More gains less than a tenth, and loses precision."""

_TAPS: Final = (3, 7, 11)
_LEAST_CHANNELS: Final = 64
_END: Final = 2**62
"""The end of an axis, for a slice."""


def use_tiles(graph: Graph) -> int:
    """Compute each large convolution of a graph tile by tile, and return their number."""
    replacements = {id(node): list(_tiled(graph, node)) for node in graph.nodes if _can_tile(graph, node)}
    graph.replace(replacements)
    return len(replacements)


def _can_tile(graph: Graph, node: NodeProto) -> bool:
    if node.op_type != "Conv" or not graph.is_constant(node.input[1]):
        return False
    shape = graph.constant(node.input[1]).shape
    if len(shape) != 3 or shape[2] not in _TAPS or min(shape[:2]) < _LEAST_CHANNELS:
        return False
    dilation, pad = _geometry(node)
    return 2 * pad == dilation * (shape[2] - 1)


def _geometry(node: NodeProto) -> tuple[int, int]:
    """Return the dilation of a convolution in one dimension, and the zeros before its input."""
    values = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    if values.get("group", 1) != 1 or values.get("strides", [1]) != [1]:
        raise UnknownGraphError(f"{node.name} has groups or a stride")
    return values.get("dilations", [1])[0], values.get("pads", [0])[0]


def _tiled(graph: Graph, node: NodeProto) -> Iterator[NodeProto]:
    """Yield the nodes in place of a convolution [1, C, L] -> [1, D, L] of K taps, dilation d and padding d (K - 1) / 2.

    Tile t reads the samples 8 t + d j, j < K + 7, and writes the samples 8 t + d i, i < 8. Since d is odd, each sample
    is written exactly once: at the place (d i) % 8 of the block t + d i // 8.
    """
    x, (y,), name = node.input[0], node.output, node.name
    weights = graph.constant(node.input[1]).astype(np.float64)
    out_channels, channels, taps = weights.shape
    dilation, pad = _geometry(node)
    points = TILE + taps - 1
    read, kernel, write = transforms(taps)
    before = dilation * (TILE - 1) // TILE  # tiles that begin before the first sample and write into the range
    rows = [place * pow(dilation, -1, TILE) % TILE for place in range(TILE)]  # the i of each place in a block
    constants = {
        f"fast/read_{taps}": read.reshape(points, 1, 1, points),
        f"fast/write_{taps}_{dilation % TILE}": write.T[rows],
        f"{name}/products": np.einsum("pk,ock->poc", kernel, weights),
    }
    read_, write_, products = (graph.add_constant(k, v.astype(np.float32)) for k, v in constants.items())

    def ints(*values: int) -> str:
        return graph.add_constant("fast/" + "x".join(map(str, values)), np.array(values, np.int64))

    yield helper.make_node("Reshape", [x, ints(1, 1, channels, -1)], [f"{name}/x"])
    yield helper.make_node(
        "Conv",
        [f"{name}/x", read_],
        [f"{name}/tiles"],
        name=f"{name}/read",
        kernel_shape=[1, points],
        strides=[1, TILE],
        dilations=[1, dilation],
        pads=[0, pad + before * TILE, 0, dilation * (points - 1) - pad],
    )
    yield helper.make_node("Reshape", [f"{name}/tiles", ints(points, channels, -1)], [f"{name}/factors"])
    yield helper.make_node("MatMul", [products, f"{name}/factors"], [f"{name}/sums"], name=f"{name}/multiply")
    yield helper.make_node("Reshape", [f"{name}/sums", ints(points, -1)], [f"{name}/flat_sums"])
    yield helper.make_node("MatMul", [write_, f"{name}/flat_sums"], [f"{name}/flat_samples"], name=f"{name}/write")
    yield helper.make_node("Reshape", [f"{name}/flat_samples", ints(TILE, out_channels, -1)], [f"{name}/samples"])
    blocks = f"{name}/samples"
    if before:
        for place, row in enumerate(rows):
            late = dilation * row // TILE
            starts, ends = ints(place, before - late), ints(place + 1, -late if late else _END)
            inputs = [blocks, starts, ends, ints(0, 2)]
            yield helper.make_node("Slice", inputs, [f"{name}/place_{place}"], name=f"{name}/place_{place}")
        blocks = f"{name}/blocks"
        places = [f"{name}/place_{place}" for place in range(TILE)]
        yield helper.make_node("Concat", places, [blocks], name=blocks, axis=0)
    yield helper.make_node("Transpose", [blocks], [f"{name}/transposed"], name=f"{name}/order", perm=[1, 2, 0])
    yield helper.make_node("Reshape", [f"{name}/transposed", ints(1, out_channels, -1)], [f"{name}/padded"])
    yield helper.make_node("Shape", [x], [f"{name}/length"], start=2, end=3)
    cut, addition = graph.add_bias(y, node.input[2])
    yield helper.make_node("Slice", [f"{name}/padded", ints(0), f"{name}/length", ints(2)], [cut], name=f"{name}/slice")
    yield from addition


def transforms(taps: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the matrices R [N, N], W [N, K] and S [N, 8] of a convolution with K taps w, N = K + 7.

    sum_k w[k] x[i + k] = S.T @ ((W @ w) * (R @ x)) for i < 8 and x of N samples. A polynomial product is evaluated at
    N - 1 points and at infinity, and interpolated; R and S have rows of length 1, so that no intermediate is large.
    The points are tangents of equally spaced angles, which keeps the relative error in float32 below 2e-4.
    """
    count = TILE + taps - 1
    angles = np.pi / 2 * np.arange(1, count // 2) / (count // 2)
    positive = [Fraction(float(np.tan(angle))).limit_denominator(64) for angle in angles]
    points = [Fraction(0), *itertools.chain.from_iterable((point, -point) for point in positive)]
    read = _numbers(zip(*_inverse(_powers(points, count)), strict=True))
    kernel, write = _numbers(_powers(points, taps)), _numbers(_powers(points, TILE))
    read_length, write_length = (np.linalg.norm(matrix, axis=1, keepdims=True) for matrix in (read, write))
    return read / read_length, kernel * read_length * write_length, write / write_length


def _powers(points: Sequence[Fraction], count: int) -> list[list[Fraction]]:
    """Return the first `count` powers of each point, and of infinity."""
    infinity = [Fraction(int(power == count - 1)) for power in range(count)]
    return [*([point**power for power in range(count)] for point in points), infinity]


def _inverse(matrix: Sequence[Sequence[Fraction]]) -> list[list[Fraction]]:
    """Return the exact inverse of a matrix, by Gauss and Jordan."""
    size = len(matrix)
    rows = [[*row, *(Fraction(int(i == j)) for j in range(size))] for i, row in enumerate(matrix)]
    for column in range(size):
        pivot = next(i for i in range(column, size) if rows[i][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for i, row in enumerate(rows):
            if i != column and row[column]:
                rows[i] = [value - row[column] * base for value, base in zip(row, rows[column], strict=True)]
    return [row[size:] for row in rows]


def _numbers(rows: Iterable[Iterable[Fraction]]) -> NDArray[np.float64]:
    return np.array([[float(value) for value in row] for row in rows])
