"""What the talker reads before it speaks: from text, language, speaker and reference to embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from adapters.qwen3_tts.inflight.weights import Weights


class Voice(Protocol):
    """The voice to clone, as the prompt needs it."""

    @property
    def x_vector(self) -> Tensor:
        """Its colour, (hidden,)."""

    @property
    def codes(self) -> Tensor | None:
        """The reference's codes (frames, 16); None: its colour alone is taken."""

    @property
    def text(self) -> str:
        """The words of the reference; empty where `codes` is None."""


@dataclass(frozen=True, eq=False)
class Prompt:
    """The talker's input."""

    embeddings: Tensor
    """What is prefilled, (tokens, hidden)."""
    trailing: Tensor
    """Text rows (rows, hidden) that are fed one a frame; after them the pad row is."""


class PromptBuilder:
    """Builds the prompts of one checkpoint. May be used from any thread."""

    def __init__(self, weights: Weights) -> None:
        raise NotImplementedError

    def count_tokens(self, text: str) -> int:
        """How many tokens `text` comes to."""
        raise NotImplementedError

    def build(
        self,
        text: str,
        *,
        language: str = "auto",
        speaker: str = "",
        instruct: str = "",
        voice: Voice | None = None,
        streaming_text: bool = False,
    ) -> Prompt:
        """The prompt of an utterance; names as the checkpoint's config has them, `language` may be `auto`."""
        raise NotImplementedError
