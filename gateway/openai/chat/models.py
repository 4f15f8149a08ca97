"""The names that the `model` of a chat completion may have."""

from __future__ import annotations

from typing import Final

from gateway.core.errors import ModelNotFound
from gateway.settings import GatewaySettings

_OPENAI: Final = ("gpt-audio", "gpt-4o-audio", "gpt-4o-mini-audio")
"""Beginnings of the names of OpenAI's models that listen and speak."""


def chat_models(settings: GatewaySettings) -> tuple[str, ...]:
    """Return the names to list; none where no language model is set up for chat completions."""
    if not settings.llm_url or settings.llm_api != "chat":
        return ()
    return tuple(dict.fromkeys(filter(None, ("gpt-audio", settings.llm_model))))


def is_listed(name: str, settings: GatewaySettings) -> bool:
    """Return whether a client may look a chat model up by this name: one of the list, or another of OpenAI's names."""
    listed = chat_models(settings)
    return bool(listed) and (name in listed or name.startswith(_OPENAI))


def language_model_of(name: str, settings: GatewaySettings) -> str:
    """Return the name by which the language model's server is asked; empty: its default one.

    OpenAI's names and LLM_MODEL stand for LLM_MODEL. Any other name is the server's own; where LLM_MODEL is set, the
    operator has chosen, and `ModelNotFound` is raised.
    """
    if name.startswith(_OPENAI) or name == settings.llm_model:
        return settings.llm_model
    if settings.llm_model:
        raise ModelNotFound(f"the model {name[:100]!r} does not chat here; choose gpt-audio or {settings.llm_model}")
    return name
