# ruff: noqa: RUF001  (phonemes look like Latin letters)
"""The torch network with the published weights, against the published graph, in float32 and without noise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from adapters.kokoro.gpu.layers import STYLE, Rows
from adapters.kokoro.gpu.module import Kokoro, frames_of
from adapters.kokoro.gpu.weights import UnknownWeightsError
from adapters.kokoro.graph import DURATIONS
from adapters.kokoro.voices import VoiceStyles
from tests.unit.adapters.kokoro_gpu.float_graph import float_graph

SOURCE = "/decoder/decoder/generator/m_source/l_tanh/Tanh_output_0"
SPECTRUM = "/decoder/decoder/generator/Concat_3_output_0"
PITCH = "/encoder/F0_proj/Conv_output_0"
SPOKEN = [("ðə mˈɑdəl ɪz lˈOdᵻd.", "af_heart"), ("el pˈero kˈome.", "ef_dora"), ("bɔ̃ʒˈuʁ.", "ff_siwis")]
"""Phonemes and a voice."""

Inputs = tuple[list[int], np.ndarray]


@pytest.fixture(scope="module")
def folder(weights: Path) -> Path:
    return weights / "kokoro-82m"


@pytest.fixture(scope="module")
def module(folder: Path) -> Kokoro:
    return Kokoro.load(folder / "model.onnx", torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def graph(folder: Path) -> onnxruntime.InferenceSession:
    model = float_graph(folder / "model.onnx", [DURATIONS, SOURCE, SPECTRUM, PITCH])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def decibels(signal: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(signal**2) / np.sum((signal - other) ** 2)))


@pytest.mark.parametrize(("phonemes", "voice"), SPOKEN, ids=[voice for _, voice in SPOKEN])
@torch.inference_mode()
def test_the_speech_is_that_of_the_published_weights(
    folder: Path, module: Kokoro, graph: onnxruntime.InferenceSession, phonemes: str, voice: str
) -> None:
    vocabulary = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    tokens = [0, *(vocabulary[sound] for sound in phonemes if sound in vocabulary), 0]
    style = VoiceStyles(folder / "voices").style(voice, len(tokens) - 2)
    names = [each.name for each in graph.get_outputs()]
    feed = {"input_ids": np.array([tokens]), "style": style, "speed": np.ones(1, np.float32)}
    expected = dict(zip(names, graph.run(None, feed), strict=True))

    given = torch.from_numpy(style)
    text = Rows(torch.tensor([len(tokens)]), len(tokens))
    durations, features = module.read(torch.tensor([tokens]), given, torch.ones(1), text)
    assert durations[0].tolist() == expected[DURATIONS].reshape(-1).tolist()

    count = int(durations.sum())
    rows = Rows(torch.tensor([count]), count)
    frames = frames_of(features, durations, count)
    pitch, energy = module.predictor.curves(frames[:, :, : module.prosody], given[:, STYLE:], rows)
    assert np.abs(pitch.numpy() - expected[PITCH]).max() < 0.01  # Hz
    source = module.decoder.generator.m_source(pitch[:, 0], noisy=False)
    assert decibels(expected[SOURCE].reshape(-1), source.numpy().reshape(-1)) > 40

    # The same spectrum of the source: where it is nothing but rounding errors, so are its phases.
    sound = frames[:, :, module.prosody :].transpose(1, 2)
    spectrum = torch.from_numpy(expected[SPECTRUM])
    samples = module.decoder(sound, (pitch, energy), given[:, :STYLE], spectrum, rows)[0].numpy()
    waveform = expected[graph.get_outputs()[0].name].reshape(-1)
    assert len(samples) == len(waveform) == count * 600
    first = 20  # which the published graph divides by almost 0
    assert decibels(waveform[first:], samples[first:]) > 60


def test_another_model_is_refused(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "other", [x], [y])), tmp_path / "model.onnx")
    with pytest.raises(UnknownWeightsError, match="is not Kokoro as published"):
        Kokoro.load(tmp_path / "model.onnx", torch.device("cpu"), torch.float32)
