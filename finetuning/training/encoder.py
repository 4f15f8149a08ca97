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

from adapters.qwen3_tts.inflight.io.voice_cache import speaker_features
from adapters.qwen3_tts.package import core
from finetuning.dataset import Codes, Embedding
from finetuning.errors import FineTuningError
from finetuning.wav import Samples

_PREFIX = "speaker_encoder."


class Encoder:
    """The codec's encoder and the speaker encoder of a Base checkpoint, in float32: 16 bits change the codes."""

    def __init__(self, base: Path, device: str) -> None:
        """Raises `FineTuningError` for a folder without them."""
        transformers_logging.set_verbosity_error()
        self._device = device
        try:
            config = json.loads((base / "config.json").read_text(encoding="utf-8"))
            self._speaker = _speaker_encoder(base, config).to(device)
            self._codec = core.Qwen3TTSTokenizerV2Model.from_pretrained(
                str(base / "speech_tokenizer"), device_map=device, dtype=torch.float32
            )
        except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
            raise FineTuningError(f"{base} is no Base checkpoint: {error}") from None
        del self._codec.decoder
        self.digest = _digest(self._codec, self._speaker)
        """Hash of both networks."""

    def codes(self, samples: Samples) -> Codes:
        """Return the codes (frames, 16) of samples (n,) at 24 kHz."""
        batch = torch.tensor(samples, device=self._device)[None]
        with torch.no_grad():
            (codes,) = self._codec.encode(batch, torch.ones_like(batch, dtype=torch.int64)).audio_codes
        found: Codes = codes.cpu().numpy().astype(np.int16)
        return found

    def embedding(self, samples: Samples) -> Embedding:
        """Return the speaker's embedding (hidden,) of samples (n,) at 24 kHz."""
        with torch.no_grad():
            features = speaker_features(torch.tensor(samples)[None]).to(self._device, torch.float32)
            found: Embedding = self._speaker(features)[0].float().cpu().numpy()
        return found


def _speaker_encoder(base: Path, config: dict[str, Any]) -> Any:
    encoder = core.models.modeling_qwen3_tts.Qwen3TTSSpeakerEncoder(
        core.models.Qwen3TTSConfig(**config).speaker_encoder_config
    )
    found: dict[str, torch.Tensor] = {}
    for path in sorted(base.glob("model*.safetensors")):
        with safe_open(path, "pt") as file:
            names = [name for name in file.keys() if name.startswith(_PREFIX)]  # noqa: SIM118 - it is no mapping
            found |= {name.removeprefix(_PREFIX): file.get_tensor(name).float() for name in names}
    encoder.load_state_dict(found)
    return encoder.eval().requires_grad_(False)


def _digest(*networks: Any) -> str:
    made = hashlib.sha256()
    for network in networks:
        for name, tensor in sorted(network.state_dict().items()):
            made.update(name.encode())
            made.update(tensor.float().cpu().contiguous().numpy().tobytes())
    return made.hexdigest()
