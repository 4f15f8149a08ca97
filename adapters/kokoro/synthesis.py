"""What a network of Kokoro takes and gives, on any device."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

MAX_TOKENS = 510
"""The most phonemes of one call; the network was trained on no more."""
SPEED_RANGE = (0.7, 1.3)
"""Speeds with good audio: above 1.3 the network drops the first sounds, below 0.7 it adds some."""
FRAME = 600
"""Samples in one frame of Kokoro, at 24 kHz."""
BOUNDARY = 0
"""The token before and after the phonemes."""

Spoken = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Samples and durations.

The samples, 24 kHz, -1 to 1, are whole frames, with Kokoro's own silence at both ends. The durations are the frames of
that silence, of each token, and of the silence at the end; none if the checkpoint does not tell them.
"""


class Network(Protocol):
    """A loaded checkpoint."""

    has_durations: bool
    """Whether it tells the durations of its phonemes."""

    def tokens(self, phonemes: str) -> list[int]:
        """Return the tokens of phonemes; sounds that Kokoro was not trained on are left out."""

    def speak(self, tokens: Sequence[int], style: NDArray[np.float32], speed: float) -> Spoken:
        """Return the speech of one piece; `tokens`: at most `MAX_TOKENS`; `style`: shape [1, 256]."""


PieceInput = tuple[Sequence[int], NDArray[np.float32], float]
"""The arguments of `Network.speak`."""


@runtime_checkable
class BatchNetwork(Network, Protocol):
    """A network that computes many pieces at once."""

    def speak_all(self, pieces: Sequence[PieceInput]) -> list[Spoken]:
        """Return the speech of each piece, which does not depend on the others."""


class Vocabulary:
    """The tokens of the sounds that Kokoro was trained on."""

    def __init__(self, folder: Path) -> None:
        """Read `tokenizer.json`; raises `FileNotFoundError`, also if the weights beside it are missing."""
        for path in (folder / "model.onnx", folder / "tokenizer.json"):
            if not path.is_file():
                raise FileNotFoundError(f"{path} is missing; run scripts/fetch_models")
        self._tokens: dict[str, int] = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]

    def __call__(self, phonemes: str) -> list[int]:
        """Return the tokens of phonemes, those that are known."""
        return [self._tokens[sound] for sound in phonemes if sound in self._tokens]
