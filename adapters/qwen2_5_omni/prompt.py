"""A window as the thinker's prompt: the instruction as tokens, the audio as encoded frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from transformers import AutoTokenizer, WhisperFeatureExtractor

from adapters.qwen2_5_omni.stepper import Prompt
from adapters.qwen2_5_omni.weights import Weights
from adapters.triton.transcriber import WindowRequest
from tritone.contract import LISTEN_RATE, TranscriptionOptions
from tritone.languages import NAMES, candidates_of

SYSTEM: Final = "You are a speech recognition model."
"""The system prompt that the model's authors use for recognition."""
_FFT = 400
"""Samples of one spectrum; as many zeros follow the audio, as they do where the package pads it to five minutes."""


def instruction(options: TranscriptionOptions) -> str:
    """Return the user's part of the prompt."""
    names = [NAMES[code].title() for code in candidates_of(options.language)] if options.language != "auto" else []
    spoken = f"{' or '.join(names)} " if names else ""
    parts = [f"Transcribe the {spoken}audio into text."]
    if options.hotwords:
        parts.append(f"Words to expect: {options.hotwords}")
    if options.prompt:
        parts.append(f"The text before it: {options.prompt}")
    return "\n".join(parts)


class PromptBuilder:
    """Builds prompts of a checkpoint; its audio encoder runs on the calling thread's stream."""

    def __init__(self, folder: Path, weights: Weights) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._extractor: Any = WhisperFeatureExtractor.from_pretrained(folder)
        self._weights = weights
        self._before = self._tokens(f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n<|audio_bos|>")
        self._between = self._tokens("<|audio_eos|>")
        self._after = self._tokens("<|im_end|>\n<|im_start|>assistant\n")
        self.ends = frozenset(self._tokens("<|im_end|><|endoftext|>"))
        """The tokens that end a text."""

    def audio_tokens(self, samples: int) -> int:
        """Return the tokens of audio of so many samples: 25 a second, none for less than 30 ms."""
        frames = self._frames(samples)
        return max(0, ((frames - 1) // 2 + 1 - 2) // 2 + 1)

    def build(self, window: WindowRequest) -> Prompt:
        """Return the prompt of a window with at least one audio token."""
        audio = self._encoded(window.audio)
        text = self._tokens(instruction(window.options), from_client=True)
        ids = [
            *self._before, *[self._weights.config.audio_token] * len(audio), *self._between, *text, *self._after,
        ]  # fmt: skip
        embeddings = F.embedding(torch.tensor(ids, device=self._weights.device), self._weights.embedding)
        embeddings[len(self._before) : len(self._before) + len(audio)] = audio
        return Prompt(ids, embeddings)

    def features(self, audio: NDArray[np.float32]) -> torch.Tensor:
        """Return the log-mel spectrum (bins, frames), a frame each 10 ms, as the package's processor computes it."""
        padded = np.pad(audio, (0, _FFT))
        features = self._extractor(
            padded, sampling_rate=LISTEN_RATE, padding=False, truncation=False, return_tensors="pt"
        )["input_features"][0]
        spectrum: torch.Tensor = features[:, : self._frames(len(audio))]
        return spectrum

    def _encoded(self, audio: NDArray[np.float32]) -> torch.Tensor:
        """Return the audio's tokens (n, hidden)."""
        weights = self._weights
        features = self.features(audio).to(weights.device, weights.dtype)
        frames = torch.tensor([features.shape[1]], device=weights.device)
        encoded: torch.Tensor = weights.audio_encoder(
            features, feature_lens=frames, aftercnn_lens=(frames - 1) // 2 + 1
        ).last_hidden_state
        return encoded

    def _frames(self, samples: int) -> int:
        return -(-samples // int(self._extractor.hop_length))

    def _tokens(self, text: str, *, from_client: bool = False) -> list[int]:
        """Return the tokens of a text; in one `from_client` special tokens are words like others."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, split_special_tokens=from_client)["input_ids"]
        return ids
