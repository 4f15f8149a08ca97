"""The use case `assist`: a prompt in, the spoken answer of a language model out, while it is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from gateway.core.assistant_templates import AssistantTemplates
from gateway.core.errors import LanguageModelFailed
from gateway.core.language_model import Message
from gateway.core.services import Services
from gateway.core.spoken_text import ClauseCutter
from gateway.core.synthesize import SynthesisRequest
from gateway.core.telemetry import WorkTelemetry
from gateway.core.written_speech import WrittenSpeech, speak_while_written
from tritone.errors import InvalidInput


@dataclass(frozen=True)
class AssistantRequest:
    """A prompt, and how its answer is to be written and spoken."""

    prompt: str
    speech: SynthesisRequest
    """The voice; its text is not used."""
    category: str = ""
    """A name of `assistant.toml`, in any case; empty: the default one."""
    writing_style: str = ""


async def assist(services: Services, request: AssistantRequest, telemetry: WorkTelemetry) -> WrittenSpeech:
    """Prepare the spoken answer; the language model is called when its audio is read.

    Raises as `synthesize`, and `LanguageModelMissing`; reading raises any error of the language model, also for an
    answer in which there is nothing to speak.
    """
    settings = services.settings
    if not request.prompt.strip():
        raise InvalidInput("prompt", "it is empty")
    if len(request.prompt) > settings.assistant_max_prompt_chars:
        problem = f"{len(request.prompt)} characters; at most {settings.assistant_max_prompt_chars} are allowed"
        raise InvalidInput("prompt", problem)
    templates = await asyncio.to_thread(AssistantTemplates.load, settings.assistant_templates)
    system = templates.system_message(request.category, request.writing_style)
    services.language_model.check()
    texts = _answer(services, [Message("system", system), Message("user", request.prompt)])
    return await speak_while_written(services, texts, request.speech, telemetry)


async def _answer(services: Services, messages: Sequence[Message]) -> AsyncGenerator[str]:
    """Yield the answer as it is written. Raises `LanguageModelFailed` for one with nothing to speak."""
    answer = ""
    async with aclosing(services.language_model.stream(messages)) as texts:
        async for text in texts:
            answer += text
            yield text
    cutter = ClauseCutter()
    if not [*cutter.add(answer), *cutter.finish()]:
        raise LanguageModelFailed("the language model gave an answer with nothing to speak", detail=answer)
