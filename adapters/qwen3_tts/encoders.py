"""The package's encoders of a checkpoint that clones voices: they make codes and an embedding of a recording.

Only such checkpoints need them. They import the package and transformers, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adapters.qwen3_tts.package import core
from tritone.contract import SPEECH_RATE


class Encoders:
    """The encoder of the codec, in float32 as published, and the encoder of speakers. Not thread-safe."""

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        speaker_tensors: Mapping[str, Tensor],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        """Load the encoders of the checkpoint in `folder`; raises the package's errors. `config`: that of config.json.

        `speaker_tensors`: those of the speaker encoder, without their prefix. It computes in `dtype`.
        """
        self.codec: Any = core.Qwen3TTSTokenizerV2Model.from_pretrained(
            str(folder / "speech_tokenizer"), device_map=str(device), dtype=torch.float32
        )
        """The package's `Qwen3TTSTokenizerV2Model` without its decoder."""
        del self.codec.decoder
        with device:
            speaker = core.models.modeling_qwen3_tts.Qwen3TTSSpeakerEncoder(
                core.models.Qwen3TTSConfig(**config).speaker_encoder_config
            )
        speaker.load_state_dict(speaker_tensors)
        self.speaker: Any = speaker.to(dtype).eval().requires_grad_(False)
        """The package's `Qwen3TTSSpeakerEncoder`."""
        self._device = device
        self._dtype = dtype

    def codes(self, samples: Tensor) -> Tensor:
        """Return the codes (frames, 16) int64 of samples (n,) at 24 kHz."""
        batch = samples[None].to(self._device)
        codes: Tensor
        with torch.no_grad():
            (codes,) = self.codec.encode(batch, torch.ones_like(batch, dtype=torch.int64)).audio_codes
        return codes

    def x_vector(self, samples: Tensor) -> Tensor:
        """Return the speaker embedding (hidden,) of samples (n,) at 24 kHz."""
        mels = core.models.modeling_qwen3_tts.mel_spectrogram(
            samples[None],
            n_fft=1024,
            num_mels=128,
            sampling_rate=SPEECH_RATE,
            hop_size=256,
            win_size=1024,
            fmin=0,
            fmax=12000,
        )
        with torch.no_grad():
            embedding: Tensor = self.speaker(mels.transpose(1, 2).to(self._device, self._dtype))[0]
        return embedding
