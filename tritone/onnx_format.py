"""The part of ONNX's file format that is needed to write a small network anew, without the 31 MB of `onnx`.

onnxruntime brings protobuf with it. The names and numbers of the fields are those of ONNX's `onnx.proto`. What is not
named here stays in a file as it is.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from numpy.typing import NDArray

_FIELDS: Final[dict[str, dict[str, tuple[int, str]]]] = {
    "Tensor": {"dims": (1, "int64[]"), "data_type": (2, "int32"), "name": (8, "string"), "raw_data": (9, "bytes")},
    "Attribute": {
        "name": (1, "string"),
        "i": (3, "int64"),
        "s": (4, "bytes"),
        "type": (20, "int32"),
    },
    "Node": {
        "input": (1, "string[]"),
        "output": (2, "string[]"),
        "op_type": (4, "string"),
        "attribute": (5, "Attribute[]"),
    },
    "Graph": {"node": (1, "Node[]"), "initializer": (5, "Tensor[]")},
    "Model": {"graph": (7, "Graph")},
}
_TYPES: Final = {"float32": 1, "int64": 7}
"""Type of NumPy -> `data_type` of a tensor; both are stored in little-endian order."""
_INT, _STRING = 2, 3
"""The types of attributes."""


class Network:
    """A network whose operations are replaced; its inputs and outputs keep their names and shapes."""

    def __init__(self, file: bytes) -> None:
        """`file`: the content of an ONNX file, with all constants in it."""
        self._model = _MODEL.FromString(file)
        graph = self._model.graph
        self.constants = {each.name: _array(each) for each in graph.initializer if each.data_type == _TYPES["float32"]}
        """The constants of the file in float32, by name."""
        del graph.node[:], graph.initializer[:]

    def constant(self, values: NDArray[Any]) -> str:
        """Add a constant in float32 or int64; return its name."""
        graph = self._model.graph
        name = f"constant {len(graph.initializer)}"
        data = np.ascontiguousarray(values)
        graph.initializer.add(
            name=name,
            dims=data.shape,
            data_type=_TYPES[data.dtype.name],
            raw_data=data.astype(data.dtype.newbyteorder("<")).tobytes(),
        )
        return name

    def add(self, operation: str, *inputs: str, outputs: tuple[str, ...] = (), **attributes: int | str) -> str:
        """Add an operation; return the name of its first output. An empty input is absent."""
        graph = self._model.graph
        outputs = outputs or (f"{operation} {len(graph.node)}",)
        node = graph.node.add(op_type=operation, input=inputs, output=outputs)
        for name, value in attributes.items():
            if isinstance(value, int):
                node.attribute.add(name=name, i=value, type=_INT)
            else:
                node.attribute.add(name=name, s=value.encode(), type=_STRING)
        return outputs[0]

    def file(self) -> bytes:
        """Return the content of an ONNX file."""
        content: bytes = self._model.SerializeToString()
        return content


def _array(tensor: Any) -> NDArray[np.float32]:
    return np.frombuffer(tensor.raw_data, "<f4").reshape(tensor.dims)


def _model_class() -> Any:
    """Return the class of a model's message."""
    package = "tritone.onnx"
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package)
    for message, fields in _FIELDS.items():
        described = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            field = described.field.add(name=name, number=number)
            item = kind.removesuffix("[]")
            field.label = field.LABEL_OPTIONAL if item == kind else field.LABEL_REPEATED
            if item in _FIELDS:
                field.type, field.type_name = field.TYPE_MESSAGE, f".{package}.{item}"
            else:
                field.type = getattr(field, f"TYPE_{item.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Model"))


_MODEL: Final = _model_class()
