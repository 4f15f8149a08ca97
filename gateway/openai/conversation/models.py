"""The names that a conversation's `model` may have."""

from __future__ import annotations

from typing import Final

from gateway.core.errors import ModelNotFound
from gateway.settings import GatewaySettings

_OPENAI: Final = ("gpt-realtime", "gpt-4o-realtime", "gpt-4o-mini-realtime", "gpt-audio")
"""Beginnings of the names of OpenAI's models; `gpt-realtime-whisper` only transcribes."""
_TRANSCRIBES: Final = "gpt-realtime-whisper"


def is_conversation_model(name: str, settings: GatewaySettings) -> bool:
    """Return whether a session with this model is a conversation: OpenAI's names, and LLM_MODEL."""
    return (name.startswith(_OPENAI) and name != _TRANSCRIBES) or (name != "" and name == settings.llm_model)


def check_model(name: str, settings: GatewaySettings) -> None:
    """Raise `ModelNotFound` for a model that holds no conversations here."""
    if not is_conversation_model(name, settings):
        own = f" or {settings.llm_model}" if settings.llm_model else ""
        raise ModelNotFound(f"the model {name[:100]!r} holds no conversations here; choose gpt-realtime{own}")
