"""The published encoders: audio to codes, and audio to a speaker's embedding."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from transformers import logging as transformers_logging

from adapters.qwen3_tts.encoders import Encoders
from finetuning.dataset import Codes, Embedding
from finetuning.errors import FineTuningError
from finetuning.wav import Samples

_PREFIX = "speaker_encoder."


class Encoder:
    """The codec's encoder and the speaker encoder of a Base checkpoint, in float32: 16 bits change the codes."""

    def __init__(self, base: Path, device: str) -> None:
        """Raises `FineTuningError` for a folder without them."""
        transformers_logging.set_verbosity_error()
        try:
            config = json.loads((base / "config.json").read_text(encoding="utf-8"))
            self._encoders = Encoders(base, config, _speaker_tensors(base), torch.device(device), torch.float32)
        except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
            raise FineTuningError(f"{base} is no Base checkpoint: {error}") from None
        self.digest = _digest(self._encoders.codec, self._encoders.speaker)
        """Hash of both networks."""

    def codes(self, samples: Samples) -> Codes:
        """Return the codes (frames, 16) of samples (n,) at 24 kHz."""
        found: Codes = self._encoders.codes(torch.tensor(samples)).cpu().numpy().astype(np.int16)
        return found

    def embedding(self, samples: Samples) -> Embedding:
        """Return the speaker's embedding (hidden,) of samples (n,) at 24 kHz."""
        found: Embedding = self._encoders.x_vector(torch.tensor(samples)).float().cpu().numpy()
        return found


def _speaker_tensors(base: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for path in sorted(base.glob("model*.safetensors")):
        with safe_open(path, "pt") as file:
            names = [name for name in file.keys() if name.startswith(_PREFIX)]  # noqa: SIM118 - it is no mapping
            found |= {name.removeprefix(_PREFIX): file.get_tensor(name).float() for name in names}
    return found


def _digest(*networks: Any) -> str:
    made = hashlib.sha256()
    for network in networks:
        for name, tensor in sorted(network.state_dict().items()):
            made.update(name.encode())
            made.update(tensor.float().cpu().contiguous().numpy().tobytes())
    return made.hexdigest()
