# ruff: noqa: RUF001  (phonemes look like Latin letters)
"""The faster graph: the same convolutions, the same speech, and its file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from adapters.kokoro import fast_graph, graph_cache
from adapters.kokoro.graph import DURATIONS
from adapters.kokoro.graph_editor import Graph, UnknownGraphError
from adapters.kokoro.network import KokoroNetwork
from adapters.kokoro.signed_convolution import use_signed_inputs
from adapters.kokoro.source_transform import use_convolutions
from adapters.kokoro.tiled_convolution import TILE, transforms, use_tiles
from benchmarks.kokoro import log_mel_distance

PHONEMES = "həlˈO wˈɜɹld."
CHANNELS = 64
needs_vnni = pytest.mark.skipif(not graph_cache.has_vnni(), reason="without VNNI, the sums of signed inputs overflow")


def convolution(taps: int, dilation: int) -> onnx.ModelProto:
    """Return a model of one convolution with random weights."""
    random = np.random.default_rng(taps)
    weights = random.standard_normal((CHANNELS, CHANNELS, taps)).astype(np.float32)
    constants = [
        numpy_helper.from_array(weights, "w"),
        numpy_helper.from_array(random.random(CHANNELS, np.float32), "b"),
    ]
    pad = dilation * (taps - 1) // 2
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], name="conv", dilations=[dilation], pads=[pad, pad])
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, CHANNELS, None]) for name in "xy")
    graph = helper.make_graph([node], "test", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def run(content: bytes, **inputs: NDArray[Any]) -> list[NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return list(session.run(None, inputs))


def decibels(signal: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the ratio of a signal's power to that of the difference."""
    return float(10 * np.log10(np.sum(signal**2) / np.sum((signal - other) ** 2)))


@pytest.mark.parametrize("taps", [3, 7, 11])
def test_transforms_compute_a_convolution(taps: int) -> None:
    random = np.random.default_rng(0)
    w, x = random.standard_normal(taps), random.standard_normal(TILE + taps - 1)
    read, kernel, write = transforms(taps)
    expected = [w @ x[i : i + taps] for i in range(TILE)]
    np.testing.assert_allclose(write.T @ ((kernel @ w) * (read @ x)), expected, atol=1e-9)


@pytest.mark.parametrize("length", [1, 8, 173])
@pytest.mark.parametrize("dilation", [1, 3, 5])
@pytest.mark.parametrize("taps", [3, 7, 11])
def test_tiled_convolution_equals_the_direct_one(taps: int, dilation: int, length: int) -> None:
    x = np.random.default_rng(length).standard_normal((1, CHANNELS, length)).astype(np.float32)
    graph, out = Graph(convolution(taps, dilation)), io.BytesIO()
    assert use_tiles(graph) == 1
    graph.write(out)
    (expected,), (tiled,) = (run(c, x=x) for c in (convolution(taps, dilation).SerializeToString(), out.getvalue()))
    assert tiled.shape == expected.shape
    assert decibels(expected, tiled) > 60


@needs_vnni
@pytest.mark.parametrize("offset", [0, -40, 40])
def test_convolution_with_signed_inputs_has_the_same_sums(offset: int) -> None:
    random = np.random.default_rng(0)
    weights = random.choice(np.array([0, 255], np.uint8), (CHANNELS, CHANNELS, 7))  # the sums of pairs exceed 16 bits
    constants = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.array(9, np.uint8), "w_zero")]
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
        helper.make_node("ConvInteger", ["q", "w", "zero", "w_zero"], ["y"], name="conv", pads=[3, 3]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, CHANNELS, None])
    y = helper.make_tensor_value_info("y", TensorProto.INT32, [1, CHANNELS, None])
    graph_ = helper.make_graph(nodes, "test", [x], [y], constants)
    model = helper.make_model(graph_, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    published, out = model.SerializeToString(), io.BytesIO()
    graph = Graph(model)
    assert use_signed_inputs(graph, "generator") == 1
    graph.write(out)
    values = 20 * random.standard_normal((1, CHANNELS, 333)).astype(np.float32) + offset
    np.testing.assert_array_equal(run(published, x=values)[0], run(out.getvalue(), x=values)[0])


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("avx2 avx512_vnni", True), ("avx2 avx_vnni", True), ("avx2 avx512f", False), ("asimddp", False)],
)
def test_vnni_is_among_the_flags_of_the_cpu(
    flags: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_cache, "_CPU", tmp_path / "cpuinfo")
    assert not graph_cache.has_vnni()  # another system, without the file
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: fpu {flags} sse\n", "utf-8")
    assert graph_cache.has_vnni() == expected


def test_fourier_transform_keeps_the_signs_of_its_rounding() -> None:
    """They decide between the phases pi and -pi."""
    window = np.hanning(21)[:-1].astype(np.float32)
    constants = {"step": np.array(5), "window": window, "length": np.array(20), "0": np.array(0), "1": np.array(1)}
    nodes = [
        helper.make_node("STFT", ["x", "step", "window", "length"], ["spectra"], name="stft"),
        helper.make_node("Transpose", ["spectra"], ["transposed"], perm=[0, 2, 1, 3]),
        helper.make_node("Gather", ["transposed", "0"], ["real"], name="real", axis=3),
        helper.make_node("Gather", ["transposed", "1"], ["imaginary"], name="imaginary", axis=3),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("real", "imaginary")]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, None])]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph_ = helper.make_graph(nodes, "test", inputs, outputs, tensors)
    model = helper.make_model(graph_, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    published, out = model.SerializeToString(), io.BytesIO()
    graph = Graph(model)
    assert use_convolutions(graph) == 1
    graph.write(out)
    assert not any(node.op_type == "STFT" for node in onnx.load_from_string(out.getvalue()).graph.node)
    random = np.random.default_rng(0)
    x = np.tanh(np.cumsum(random.standard_normal((1, 20_000)), axis=1) / 20).astype(np.float32)  # like a source, slow
    (real, imaginary), (convolved_real, convolved) = run(published, x=x), run(out.getvalue(), x=x)
    np.testing.assert_allclose(convolved_real, real, atol=5e-6)
    np.testing.assert_allclose(convolved, imaginary, atol=5e-6)
    is_turned = real[0, 0] < 0
    assert is_turned.sum() > 500
    assert np.mean((convolved[0, 0] > 0) == (imaginary[0, 0] > 0), where=is_turned) > 0.95


def test_constants_in_a_file_beside_the_model_give_the_same_results(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((1, CHANNELS, 40)).astype(np.float32)
    graph, out = Graph(convolution(3, 1)), io.BytesIO()
    graph.write(out)
    with (tmp_path / "model.onnx").open("wb") as model, (tmp_path / "values").open("wb") as values:
        Graph(convolution(3, 1)).write(model, values, "values")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], run(out.getvalue(), x=x)[0])
    assert (tmp_path / "values").stat().st_size == 4 * 3 * CHANNELS**2  # the bias is small: it is in the model


def test_snake_errs_by_4e_4_at_most() -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in "xy")
    model = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "test", [x], [y])
    graph = Graph(helper.make_model(model, opset_imports=[helper.make_opsetid("", 20)], ir_version=9))
    graph.replace({id(graph.nodes[0]): list(fast_graph.snake(graph, "x", "y"))})
    out = io.BytesIO()
    graph.write(out)
    v = np.linspace(-20, 20, 100_001, dtype=np.float32)
    expected = v + np.sin(np.pi * v.astype(np.float64)) ** 2 / np.pi
    assert np.abs(run(out.getvalue(), x=v)[0] - expected).max() * np.pi < 4e-4


@pytest.fixture(scope="module")
def published(weights: Path) -> Path:
    return weights / "kokoro-82m" / "model.onnx"


@pytest.mark.parametrize("vnni", [False, pytest.param(True, marks=needs_vnni)])
def test_speech_is_that_of_the_published_graph(vnni: bool, published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The durations are equal; the samples differ by rounding, of which the float32 graph has less."""
    monkeypatch.setattr(graph_cache, "has_vnni", lambda: vnni)
    networks = [KokoroNetwork(published.parent, threads=2, is_fast=is_fast) for is_fast in (False, True)]
    tokens = networks[0].tokens(PHONEMES)
    style = np.fromfile(published.parent / "voices" / "af_heart.bin", np.float32).reshape(-1, 1, 256)[len(tokens)]
    (expected, durations), (samples, fast_durations) = (network.speak(tokens, style, 1.0) for network in networks)
    np.testing.assert_array_equal(durations, fast_durations)
    assert len(durations) == len(tokens) + 2
    assert samples.shape == expected.shape
    assert decibels(expected, samples) > 12
    assert log_mel_distance(expected, samples) < 1.5


def test_file_is_built_once_and_always_the_same(published: Path, tmp_path: Path) -> None:
    report: list[str] = []
    first = graph_cache.fast_graph(published, tmp_path / "cache", report.append)
    assert isinstance(first, Path)
    assert len(report) == 1
    assert graph_cache.fast_graph(published, tmp_path / "cache", report.append) == first
    assert len(report) == 1
    assert set(first.parent.iterdir()) == {first, first.with_suffix(".data")}
    other = graph_cache.fast_graph(published, published.parents[1] / "cache" / "kokoro")  # of another process
    assert isinstance(other, Path)
    assert other.name == first.name
    assert other.read_bytes() == first.read_bytes()
    assert other.with_suffix(".data").read_bytes() == first.with_suffix(".data").read_bytes()
    assert [each.name for each in onnx.load(first, load_external_data=False).graph.output][1:] == [DURATIONS]
    first.with_suffix(".data").unlink()
    assert graph_cache.fast_graph(published, tmp_path / "cache", report.append) == first
    assert first.with_suffix(".data").exists()


def write_fast(
    _published: Path, out: BinaryIO, data: BinaryIO | None = None, _location: str = "", *, for_vnni: bool
) -> None:
    assert for_vnni == graph_cache.has_vnni()
    out.write(b"fast")
    if data:
        data.write(b"constants")


def test_file_of_another_version_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_graph, "build", write_fast)
    (tmp_path / "model.onnx").write_bytes(b"published")
    monkeypatch.setattr(graph_cache, "VERSION", "older")
    older = graph_cache.fast_graph(tmp_path / "model.onnx", tmp_path / "cache")
    monkeypatch.undo()
    monkeypatch.setattr(fast_graph, "build", write_fast)
    newer = graph_cache.fast_graph(tmp_path / "model.onnx", tmp_path / "cache")
    assert isinstance(newer, Path)
    assert newer != older
    assert set((tmp_path / "cache").iterdir()) == {newer, newer.with_suffix(".data")}


def test_cpus_with_and_without_vnni_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_graph, "build", write_fast)
    (tmp_path / "model.onnx").write_bytes(b"published")
    files = set()
    for vnni in (False, True):
        monkeypatch.setattr(graph_cache, "has_vnni", lambda vnni=vnni: vnni)
        file = graph_cache.fast_graph(tmp_path / "model.onnx", tmp_path / "cache")
        assert isinstance(file, Path)
        files |= {file, file.with_suffix(".data")}
    assert set((tmp_path / "cache").iterdir()) == files
    assert len(files) == 4


def find_nothing(*_: object, for_vnni: bool) -> None:
    raise UnknownGraphError("0 convolutions")


def test_folder_that_cannot_be_written_gives_the_graph_without_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_graph, "build", write_fast)
    (tmp_path / "model.onnx").write_bytes(b"published")
    report: list[str] = []
    assert graph_cache.fast_graph(tmp_path / "model.onnx", tmp_path / "model.onnx" / "cache", report.append) == b"fast"
    assert "is built at each load" in report[-1]


def test_unknown_graph_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_graph, "build", find_nothing)
    (tmp_path / "model.onnx").write_bytes(b"published")
    report: list[str] = []
    assert graph_cache.fast_graph(tmp_path / "model.onnx", tmp_path / "cache", report.append) is None
    assert "is used as it is: no faster graph is known for it (0 convolutions)" in report[-1]
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("output", "reason"),
    [("y", "it has no durations"), (DURATIONS, "0 convolutions in eight bits in the generator, not 48")],
)
def test_another_model_than_kokoro_is_unknown(tmp_path: Path, output: str, reason: str) -> None:
    other = convolution(3, 1)
    other.graph.node[0].output[0] = other.graph.output[0].name = output
    onnx.save(other, tmp_path / "model.onnx")
    with pytest.raises(UnknownGraphError, match=reason):
        fast_graph.build(tmp_path / "model.onnx", io.BytesIO(), for_vnni=False)
