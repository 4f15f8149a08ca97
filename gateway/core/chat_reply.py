"""The answer of a language model: its text as it comes, and what is known of it at its end."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.core.errors import LanguageModelFailed, LanguageModelRefused

_MOST_REFUSAL_CHARS: Final = 500
_MOST_TOOL_CALLS: Final = 64


@dataclass(frozen=True)
class ChatRequest:
    """A conversation that a language model continues."""

    messages: Sequence[Mapping[str, Any]]
    """In the form of `/chat/completions`."""
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: str | Mapping[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    """Whether one answer may call several tools; None: as the server likes."""
    reasoning_effort: str | None = None
    """How much the model thinks before it answers; None: as the server likes."""
    max_tokens: int | None = None
    """At most LLM_MAX_TOKENS, which None stands for."""
    usage: bool = False
    """Whether the tokens are counted: servers before 2024 do not know the field."""
    model: str = ""
    """The language model's name; empty: LLM_MODEL."""
    more: Mapping[str, Any] | None = None
    """Further fields of `/chat/completions`, as the client sent them; it is told what the server finds wrong."""


@dataclass
class ToolCall:
    """A function that the model wants to have called."""

    id: str = ""
    name: str = ""
    arguments: str = ""
    """JSON, as the model wrote it."""


@dataclass
class Reply:
    """Reads the events of one answer; a refusal and the calls of tools come in pieces, too."""

    tool_calls: list[ToolCall] = field(default_factory=list)
    finish_reason: str = ""
    """`stop`, `length` or `tool_calls`; complete after the last event, like all of these."""
    input_tokens: int = 0
    cached_tokens: int = 0
    """Those of the input that the server had computed before."""
    output_tokens: int = 0
    reasoning_tokens: int = 0
    """Those of the output that are no part of the answer."""
    model: str = ""
    """The language model's name, if its server tells it."""
    _refusal: str = ""

    def text_of(self, event: dict[str, Any]) -> str:
        """Return the text of an event, or of a whole answer.

        Raises `LanguageModelFailed` for an error, and `LanguageModelRefused` if a filter ended the answer.
        """
        if error := event.get("error"):
            raise LanguageModelFailed("the language model failed", detail=json.dumps(error))
        self.model = event.get("model") or self.model
        usage = event.get("usage") or {}
        self.input_tokens = usage.get("prompt_tokens") or self.input_tokens
        self.cached_tokens = _detail(usage, "prompt", "cached_tokens") or self.cached_tokens
        self.output_tokens = usage.get("completion_tokens") or self.output_tokens
        self.reasoning_tokens = _detail(usage, "completion", "reasoning_tokens") or self.reasoning_tokens
        choices = event.get("choices") or [{}]
        first = choices[0]
        said = first.get("delta") or first.get("message") or first
        self._refusal += said.get("refusal") or ""
        self.finish_reason = first.get("finish_reason") or self.finish_reason
        if self.finish_reason == "content_filter":
            raise LanguageModelRefused("the language model's content filter ended the answer")
        for call in said.get("tool_calls") or ():
            self._add_call(call)
        return said.get("content") or said.get("text") or ""

    def end(self) -> None:
        """Complete the calls of tools. Raise `LanguageModelRefused` if the answer was a refusal."""
        if self._refusal:
            raise LanguageModelRefused(f"the language model refused: {self._refusal[:_MOST_REFUSAL_CHARS]}")
        for call in self.tool_calls:
            call.id = call.id or f"call_{uuid.uuid4().hex[:24]}"

    def _add_call(self, given: Mapping[str, Any]) -> None:
        """Add a piece of a call. Servers without `index` send each call whole, with its id."""
        index = given.get("index")
        if index is None:
            index = len(self.tool_calls) if given.get("id") or not self.tool_calls else len(self.tool_calls) - 1
        if not 0 <= index <= len(self.tool_calls) < _MOST_TOOL_CALLS:
            raise ValueError(f"call {index} of a tool after {len(self.tool_calls)} others")
        if index == len(self.tool_calls):
            self.tool_calls.append(ToolCall())
        call, function = self.tool_calls[index], given.get("function") or {}
        call.id = given.get("id") or call.id
        call.name += function.get("name") or ""
        call.arguments += function.get("arguments") or ""


def _detail(usage: Mapping[str, Any], kind: str, name: str) -> int:
    """Return a number of tokens in the usage's details; 0 where the server does not tell it."""
    return (usage.get(f"{kind}_tokens_details") or {}).get(name) or 0
