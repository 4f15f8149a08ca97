"""The real whisper-base, and a few recordings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from faster_whisper import WhisperModel, decode_audio
from numpy.typing import NDArray

from adapters.triton.instance import Instance
from adapters.whisper import checkpoint
from adapters.whisper.self_test import KNOWN_AUDIO
from adapters.whisper.settings import FAMILY
from adapters.whisper.transcriber import WhisperTranscriber

RECORDINGS = Path(__file__).with_name("recordings")


def instance_of(folder: Path, **parameters: str) -> Instance:
    return Instance(model="whisper-base", device="cpu", device_index=0, folder=folder, threads=1, parameters=parameters)


@pytest.fixture(scope="session")
def folder(weights: Path) -> Path:
    return weights / "whisper-base"


@pytest.fixture(scope="session")
def whisper(folder: Path) -> WhisperModel:
    return checkpoint.load(instance_of(folder), folder.parent)


@pytest.fixture(scope="session")
def transcriber(whisper: WhisperModel) -> WhisperTranscriber:
    return WhisperTranscriber(whisper, options=FAMILY.models["whisper-base"].options)


@pytest.fixture(scope="session")
def recordings() -> Mapping[str, NDArray[np.float32]]:
    files = {"fox": KNOWN_AUDIO, **{file.stem: file for file in RECORDINGS.glob("*.ogg")}}
    return {name: decode_audio(str(file)) for name, file in files.items()}
