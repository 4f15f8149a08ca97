"""From phonemes to what the decoder needs: durations, pitch, energy, and the sound of each phoneme."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapters.kokoro.gpu.layers import STYLE, WIDTH, BiLstm, Rows, StyledBlock

_TOKENS, _PLACES = 178, 512
_HEADS = 12
_LAYERS = 12


class Albert(nn.Module):
    """The text model of the prosody: twelve layers of attention with the same weights (ALBERT)."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        inner = width * 3 // 2
        self.word_embeddings = nn.Embedding(_TOKENS, 128)
        self.position_embeddings = nn.Embedding(_PLACES, 128)
        self.token_type_embeddings = nn.Embedding(2, 128)
        self.embedding_norm = nn.LayerNorm(128, eps=1e-12)
        self.widen = nn.Linear(128, inner)
        self.query, self.key, self.value, self.dense = (nn.Linear(inner, inner) for _ in range(4))
        self.attention_norm = nn.LayerNorm(inner, eps=1e-12)
        self.ffn, self.ffn_output = nn.Linear(inner, 4 * width), nn.Linear(4 * width, inner)
        self.ffn_norm = nn.LayerNorm(inner, eps=1e-12)

    def forward(self, tokens: Tensor, rows: Rows) -> Tensor:
        """Return [B, T, 3/2 width] for tokens [B, T]."""
        x: Tensor = self.word_embeddings(tokens) + self.token_type_embeddings.weight[0]
        x = self.widen(self.embedding_norm(x + self.position_embeddings.weight[: tokens.shape[1]]))
        visible = rows.is_valid[:, None, None]
        for _ in range(_LAYERS):
            query, key, value = (
                f(x).unflatten(2, (_HEADS, -1)).transpose(1, 2) for f in (self.query, self.key, self.value)
            )
            y = F.scaled_dot_product_attention(query, key, value, attn_mask=visible)
            x = self.attention_norm(x + self.dense(y.transpose(1, 2).flatten(2)))
            x = self.ffn_norm(x + self.ffn_output(F.gelu(self.ffn(x), approximate="tanh")))
        return x


class _ChannelNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        normalized = F.layer_norm(x.transpose(1, 2), self.gamma.shape, self.gamma, self.beta, 1e-5)
        return normalized.transpose(1, 2)


class TextEncoder(nn.Module):
    """The sound of each phoneme: three convolutions of five taps and a recurrent layer."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.embedding = nn.Embedding(_TOKENS, width)
        self.cnn = nn.ModuleList(
            nn.Sequential(nn.Conv1d(width, width, 5, padding=2), _ChannelNorm(width), nn.LeakyReLU(0.2))
            for _ in range(3)
        )
        self.lstm = BiLstm(width, width)

    def forward(self, tokens: Tensor, rows: Rows) -> Tensor:
        """Return [B, T, width] for tokens [B, T]."""
        x = self.embedding(tokens).transpose(1, 2) * rows.mask
        for block in self.cnn:
            x = block(x) * rows.mask
        encoded: Tensor = self.lstm(x.transpose(1, 2), rows)
        return encoded


class _StyledLayerNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc = nn.Linear(STYLE, 2 * width)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.fc(style)[:, None].chunk(2, 2)
        return torch.addcmul(shift, 1 + scale, F.layer_norm(x, x.shape[2:], eps=1e-5))


class _DurationEncoder(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstms = nn.ModuleList(
            layer for _ in range(3) for layer in (BiLstm(width + STYLE, width), _StyledLayerNorm(width))
        )

    def forward(self, x: Tensor, style: Tensor, rows: Rows) -> Tensor:
        beside = style[:, None].expand(-1, x.shape[1], -1)
        for lstm, norm in zip(self.lstms[::2], self.lstms[1::2], strict=True):
            x = norm(lstm(torch.cat([x, beside], 2), rows), style)
        return torch.cat([x, beside], 2)


class Predictor(nn.Module):
    """Durations from the text, and pitch and energy of each frame."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        half = width // 2
        self.text_encoder = _DurationEncoder(width)
        self.lstm = BiLstm(width + STYLE, width)
        self.duration_proj = nn.Linear(width, 50)
        self.shared = BiLstm(width + STYLE, width)
        self.F0, self.N = (
            nn.ModuleList([StyledBlock(width, width), StyledBlock(width, half, doubles=True), StyledBlock(half, half)])
            for _ in range(2)
        )
        self.F0_proj, self.N_proj = (nn.Conv1d(half, 1, 1) for _ in range(2))

    def durations(self, text: Tensor, style: Tensor, speed: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Return the frames of each token, whole numbers in float32 [B, T], and its features [B, T, width + 128].

        `text`: [B, T, width]; `style`: [B, 128]; `speed`: [B].
        """
        features = self.text_encoder(text, style, rows)
        total = torch.sigmoid(self.duration_proj(self.lstm(features, rows))).sum(2)
        return (total / speed[:, None]).round().clamp(min=1), features

    def curves(self, features: Tensor, style: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Return pitch (Hz) and energy, [B, 1, 2 F] each, for features of frames [B, F, width + 128]."""
        shared = self.shared(features, rows).transpose(1, 2) * rows.mask
        curves = []
        for blocks, projection in ((self.F0, self.F0_proj), (self.N, self.N_proj)):
            x, at = shared, rows
            for block in blocks:
                x, at = block(x, style, at)
            curves.append(projection(x) * at.mask)
        return curves[0], curves[1]
