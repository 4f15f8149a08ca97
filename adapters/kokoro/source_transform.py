"""The Fourier transform of the generator's source as convolutions, which run on all threads.

The imaginary parts of the first and the last bin are 0 but for rounding, and the graph takes their sign for a phase of
pi or -pi. Exact zeros would change the spectrum of the speech by 1 to 3 dB. onnxruntime's operator rounds its tables,
so that its errors are nearly a linear function of the samples. Its own results for single samples are the weights here,
and the signs stay.
"""

from __future__ import annotations

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from adapters.kokoro.graph_editor import Graph


def use_convolutions(graph: Graph) -> int:
    """Compute each short-time Fourier transform of a graph with convolutions, and return their number."""
    replacements: dict[int, list[NodeProto]] = {}
    axis = graph.add_constant("fast/channel", np.array([1], np.int64))
    transforms = [node for node in graph.nodes if node.op_type == "STFT"]
    for node in transforms:
        x, step, (transposed,) = f"{node.name}/x", int(graph.constant(node.input[1])), graph.follow(node, "Transpose")
        replacements[id(node)] = [helper.make_node("Unsqueeze", [node.input[0], axis], [x], name=x)]
        parts = _impulse_spectra(graph, node)
        for part in graph.consumers[transposed.output[0]]:  # the real or the imaginary one
            weights = graph.add_constant(f"{part.name}/weights", parts[int(graph.constant(part.input[1]))])
            replacements[id(part)] = [
                helper.make_node("Conv", [x, weights], [part.output[0]], name=part.name, strides=[step])
            ]
    graph.replace(replacements)
    return len(transforms)


def _impulse_spectra(graph: Graph, node: NodeProto) -> NDArray[np.float32]:
    """Return the real and imaginary parts that a transform of N samples has for each sample alone: [2, bins, 1, N]."""
    x, *names = node.input
    values = {name: graph.constant(name) for name in names}
    values[x] = np.eye(int(values[names[-1]]), dtype=np.float32)
    constants = [numpy_helper.from_array(each, name) for name, each in values.items()]
    output = helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)
    impulses = helper.make_graph([node], "impulses", [], [output], constants)
    model = helper.make_model(impulses, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (spectra,) = session.run(None, {})
    return np.asarray(spectra, np.float32)[:, 0].transpose(2, 1, 0)[:, :, None]
