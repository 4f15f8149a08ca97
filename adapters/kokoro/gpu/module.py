"""The whole network: a batch of phonemes to durations, and the frames of a batch to samples."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from adapters.kokoro.gpu.decoder import Decoder
from adapters.kokoro.gpu.encoder import Albert, Predictor, TextEncoder
from adapters.kokoro.gpu.layers import STYLE, WIDTH, Rows


class Kokoro(nn.Module):
    """Kokoro-82M. The decoder may have another precision than float32; durations and pitch always have float32."""

    def __init__(self, width: int = WIDTH) -> None:
        """`width`: that of the published weights, or a smaller multiple of 8 for random ones."""
        super().__init__()
        self.bert = Albert(width)
        self.bert_encoder = nn.Linear(width * 3 // 2, width)
        self.text_encoder = TextEncoder(width)
        self.predictor = Predictor(width)
        self.decoder = Decoder(width)
        self.prosody = width + STYLE
        """Features of a frame for pitch and energy; those for the sound follow."""
        self.features = self.prosody + width
        """Features of a frame."""

    @classmethod
    def load(cls, model: Path, device: torch.device, dtype: torch.dtype) -> Self:
        """Load the weights of the published graph; `dtype`: of the decoder.

        Raises `FileNotFoundError`, and `UnknownWeightsError` for another model.
        """
        from adapters.kokoro.gpu import weights  # noqa: PLC0415 - it imports onnx, which random weights do without

        with torch.device("meta"):  # random numbers for all weights would take seconds
            module = cls()
        missing, unknown = module.load_state_dict(weights.read(model), strict=False, assign=True)
        if missing or unknown:
            some = ", ".join([*missing[:3], *unknown[:3]])
            raise weights.UnknownWeightsError(f"{model} is not Kokoro as published: missing or unknown are {some}")
        return module.prepare(device, dtype)

    def prepare(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Move the weights to the device, those of the decoder in `dtype`, and return self."""
        self.requires_grad_(False).eval().to(device)
        # The source is a sum of sines, and a phase needs more than 11 bits.
        source, spectrum = self.decoder.generator.m_source, self.decoder.generator.spectrum
        for part in self.decoder.modules():
            if part not in (source, spectrum, source.l_linear):
                for parameter in part.parameters(recurse=False):
                    parameter.data = parameter.data.to(dtype)
        return self

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the decoder."""
        return self.decoder.generator.conv_post.weight.dtype

    def read(self, tokens: Tensor, style: Tensor, speed: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Return the frames of each token, whole numbers in float32 [B, T], and its features [B, T, `features`].

        `tokens`: int64 [B, T], with the boundaries; `style`: [B, 256]; `speed`: [B].
        """
        text = self.bert_encoder(self.bert(tokens, rows))
        durations, features = self.predictor.durations(text, style[:, STYLE:], speed, rows)
        return durations, torch.cat([features, self.text_encoder(tokens, rows)], 2)

    def speak(self, features: Tensor, style: Tensor, rows: Rows, *, noisy: bool = True) -> Tensor:
        """Return samples [B, 600 F] of the features of frames [B, F, `features`]."""
        f0, energy = self.predictor.curves(features[:, :, : self.prosody], style[:, STYLE:], rows)
        source = self.decoder.generator.harmonics(f0[:, 0], rows.times(2), noisy=noisy)
        text = features[:, :, self.prosody :].transpose(1, 2) * rows.mask
        low = self.dtype
        curves = f0.to(low), energy.to(low)
        samples: Tensor = self.decoder(text.to(low), curves, style[:, :STYLE].to(low), source, rows)
        return samples


def frames_of(features: Tensor, durations: Tensor, size: int) -> Tensor:
    """Return the features of frames [B, size, n]: each token's [B, T, n] as often as its duration [B, T] says."""
    places = torch.arange(size, device=features.device).expand(len(features), -1)
    tokens = torch.searchsorted(durations.cumsum(1), places.float(), right=True).clamp(max=features.shape[1] - 1)
    return features.gather(1, tokens[:, :, None].expand(-1, -1, features.shape[2]))
