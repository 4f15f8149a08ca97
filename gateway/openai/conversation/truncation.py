"""What is left out of a conversation that is too long for the language model."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, Tag

from gateway.openai.realtime.session_config import Settings

AUTO_RATIO: Final = 0.8
"""The part of the tokens that `auto` keeps."""


class TokenLimits(Settings):
    """Limits beside that of the language model itself."""

    post_instructions: int | None = Field(default=None, ge=1)
    """Tokens of the conversation after the instructions and tools; None: no limit."""


class RetentionRatio(Settings):
    """Keep a part of the tokens, and forget the oldest items."""

    type: Literal["retention_ratio"] = "retention_ratio"
    retention_ratio: float = Field(ge=0, le=1)
    """The part of the limit that is kept, so that the next turns need no truncation again."""
    token_limits: TokenLimits = TokenLimits()

    @property
    def most_tokens(self) -> int | None:
        """The limit of the conversation's tokens; None: that of the language model alone."""
        return self.token_limits.post_instructions


def _form(given: Any) -> str:
    return "ratio" if isinstance(given, dict | RetentionRatio) else "word"


Truncation = Annotated[
    Annotated[Literal["auto", "disabled"], Tag("word")] | Annotated[RetentionRatio, Tag("ratio")], Discriminator(_form)
]
