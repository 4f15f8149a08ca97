"""A graph of ONNX, and the replacement of its nodes by others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, StringStringEntryProto, TensorProto, helper, numpy_helper

from adapters.kokoro.graph import constant_header

Constant = NDArray[Any]

_LARGE: Final = 1024
"""A constant of this many bytes or more is written to the file of constants."""
_ALIGNMENT: Final = 64
"""Each constant in that file begins at a multiple of this many bytes: vector instructions read aligned data faster."""


class UnknownGraphError(ValueError):
    """The graph is not Kokoro's as published; the message names the part that was not found."""


class Graph:
    """A model's nodes and constants, with their connections."""

    def __init__(self, model: ModelProto) -> None:
        self._model = model
        self.nodes = list(model.graph.node)
        self._constants = {each.name: each for each in model.graph.initializer}
        self._connect()

    def _connect(self) -> None:
        self.producer = {output: node for node in self.nodes for output in node.output}
        self.consumers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in node.input:
                self.consumers[name].append(node)

    def is_constant(self, name: str) -> bool:
        """Return whether a tensor is a constant of the model."""
        return name in self._constants

    def constant(self, name: str) -> Constant:
        """Return a constant's values."""
        return numpy_helper.to_array(self._constants[name])

    def add_constant(self, name: str, values: Constant) -> str:
        """Add a constant, unless there is one of this name, and return its name."""
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def inputs(self, node: NodeProto) -> tuple[str, Constant]:
        """Return the computed input of a node with two inputs, and the values of its constant one."""
        first, second = node.input
        computed, constant = (second, first) if self.is_constant(first) else (first, second)
        return computed, self.constant(constant)

    def follow(self, node: NodeProto, *types: str) -> list[NodeProto]:
        """Return the nodes of these types that follow a node, one after the other.

        Raises `UnknownGraphError` where another follows.
        """
        found: list[NodeProto] = []
        for type_ in types:
            node = only([each for each in self.consumers[node.output[0]] if each.op_type == type_], type_, node)
            found.append(node)
        return found

    def add_bias(self, output: str, bias: str) -> tuple[str, list[NodeProto]]:
        """Return a name for `output` [1, C, L] before a constant bias [C] is added, and the nodes that add it.

        There are none if only instance normalizations follow: they take the mean of each channel away.
        """
        users = self.consumers[output]
        if users and all(node.op_type == "InstanceNormalization" and node.input[0] == output for node in users):
            return output, []
        before = f"{output}/before_bias"
        column = self.add_constant(f"{output}/bias", self.constant(bias).reshape(1, -1, 1))
        return before, [helper.make_node("Add", [before, column], [output], name=f"{output}/add")]

    def replace(self, replacements: dict[int, list[NodeProto]]) -> None:
        """Put nodes in the place of others, which are given by their `id`, and drop those that no output needs."""
        self.nodes = [new for node in self.nodes for new in replacements.get(id(node), [node])]
        self._connect()
        self.nodes = self._needed()
        self._connect()
        self._constants = {name: each for name, each in self._constants.items() if name in self.consumers}

    def write(self, out: BinaryIO, data: BinaryIO | None = None, location: str = "") -> None:
        """Write the model, one constant after the other: all at once takes three times as much memory.

        `data`: a file for the values of the large constants, which will lie beside the model's and be called
        `location`. onnxruntime maps it, and does not copy it.
        """
        graph = self._model.graph
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self.nodes)
        out.write(self._model.SerializeToString(deterministic=True))
        for constant in self._constants.values():
            each = constant if data is None else _apart(constant, data, location)
            content = each.SerializeToString(deterministic=True)
            out.write(constant_header(len(content)))
            out.write(content)

    def _needed(self) -> list[NodeProto]:
        """Return the nodes that the outputs need, each after those that it needs itself."""
        ordered: list[NodeProto] = []
        seen: set[int] = set()
        waiting = [(self.producer[each.name], False) for each in reversed(self._model.graph.output)]
        while waiting:
            node, is_ready = waiting.pop()
            if is_ready:
                ordered.append(node)
            elif id(node) not in seen:
                seen.add(id(node))
                waiting.append((node, True))
                waiting.extend((self.producer[name], False) for name in node.input if name in self.producer)
        return ordered


def _apart(constant: TensorProto, data: BinaryIO, location: str) -> TensorProto:
    """Append the values of a large constant to `data`, and return the constant without them."""
    if len(constant.raw_data) < _LARGE:
        return constant
    data.write(bytes(-data.tell() % _ALIGNMENT))
    place = {"location": location, "offset": data.tell(), "length": len(constant.raw_data)}
    data.write(constant.raw_data)
    apart = TensorProto(name=constant.name, data_type=constant.data_type, dims=constant.dims)
    apart.data_location = TensorProto.EXTERNAL
    apart.external_data.extend(StringStringEntryProto(key=key, value=str(value)) for key, value in place.items())
    return apart


def only(found: Sequence[NodeProto], type_: str, near: NodeProto) -> NodeProto:
    """Return the one node that was found; raises `UnknownGraphError` for none, and for more."""
    if len(found) != 1:
        raise UnknownGraphError(f"{len(found)} nodes of type {type_} at {near.name}, not 1")
    return found[0]
