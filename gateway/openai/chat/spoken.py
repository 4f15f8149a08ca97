"""One answer that is spoken: what the language model writes, in the voice that was asked for."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import IO, Any, Final

from gateway.audio.inline import in_base64
from gateway.core.chat_reply import ChatRequest, Reply
from gateway.core.errors import LanguageModelRefused
from gateway.core.remembered_texts import RememberedText
from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.core.written_speech import WrittenSpeech, speak_while_written
from gateway.errors import BadRequest
from gateway.openai.chat.hearing import Hearing
from gateway.openai.chat.protocol import (
    AnswerMessage,
    AudioDelta,
    AudioOutput,
    CallDelta,
    CalledFunction,
    ChatBody,
    ChatUsage,
    Choice,
    ChunkChoice,
    CompletionTokens,
    Delta,
    FinishReason,
    FunctionToolCall,
    PromptTokens,
    SpokenAudio,
    SpokenChunk,
    SpokenCompletion,
)
from gateway.openai.conversation.config import DEFAULT_INSTRUCTIONS
from gateway.openai.conversation.spoken import SpokenText
from gateway.streaming import in_a_file
from tritone.errors import InvalidInput

_INSTRUCTING: Final = ("system", "developer")
_SPEECH_FIELDS: Final = {name: f"audio.{name}" for name in ("model", "voice", "speed")}
"""Fields of a speech request -> their names in the body."""


class SpokenAnswer:
    """An answer, which is made when `completed` or `chunks` is read; only one of them can be."""

    def __init__(self, services: Services, body: ChatBody, model: str, telemetry: WorkTelemetry) -> None:
        """`model`: the name by which the language model's server is asked; empty: its default one."""
        self.speech: WrittenSpeech
        self._services = services
        self._body = body
        self._model = model
        self._telemetry = telemetry
        self._hearing = Hearing(services, telemetry)
        self._reply = Reply()
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._audio_id = f"audio_{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._said = SpokenText()

    async def prepare(self) -> None:
        """Set `speech`; nothing is heard, asked or spoken. Raises the errors of the voice and of its fields."""
        if (self._body.n or 1) > 1:
            raise BadRequest("n: only one answer can be spoken", param="n")
        default = self._services.settings.chat_speech_model
        request = AudioOutput.of(self._body.audio).request(default, whole=not self._body.stream)
        try:
            self.speech = await speak_while_written(self._services, self._texts(), request, self._telemetry)
        except InvalidInput as error:
            raise InvalidInput(_SPEECH_FIELDS.get(error.field, error.field), error.problem) from None

    @property
    def ignored(self) -> list[str]:
        """The names of the request's fields that have no effect."""
        return [*(_SPEECH_FIELDS.get(name, name) for name in self.speech.ignored), *self._body.ignored]

    async def completed(self) -> tuple[SpokenCompletion, IO[bytes]]:
        """Return the whole answer, and a file with its audio in base64, which is left out of it."""
        file = await in_a_file(self._audio())
        message = AnswerMessage()
        if file.tell():
            message.audio = SpokenAudio(
                id=self._audio_id, data="", expires_at=await self._remember(), transcript=self._said.text
            )
        else:
            message.content = self.speech.text or None
        message.tool_calls = self._calls() or None
        choice = Choice(message=message, finish_reason=self._finish_reason())
        completion = SpokenCompletion(
            id=self._id, created=self._created, model=self._model_name, choices=[choice], usage=self._usage()
        )
        return completion, file

    async def chunks(self) -> AsyncGenerator[SpokenChunk]:
        """Yield the answer as it is made: the words of a clause, then its audio."""
        first = Delta(role="assistant")
        async with aclosing(in_base64(self.speech.encoded())) as parts:
            async for part in parts:
                if words := self._new_words():
                    audio = AudioDelta(id=self._audio_id if first.role else None, transcript=words)
                    yield self._chunk(first.model_copy(update={"audio": audio}))
                    first = Delta()
                yield self._chunk(Delta(audio=AudioDelta(data=part)))
        if not first.role:
            yield self._chunk(Delta(audio=AudioDelta(expires_at=await self._remember())))
        else:
            yield self._chunk(first.model_copy(update={"content": self.speech.text or None}))
        if calls := self._calls():
            indexed = [CallDelta(index=index, **dict(call)) for index, call in enumerate(calls)]
            yield self._chunk(Delta(tool_calls=indexed))
        yield self._chunk(Delta(), self._finish_reason())
        if self._body.stream_options and self._body.stream_options.include_usage:
            yield SpokenChunk(
                id=self._id, created=self._created, model=self._model_name, choices=[], usage=self._usage()
            )

    async def _texts(self) -> AsyncGenerator[str]:
        """Yield what the language model writes. A refusal in the middle ends the answer."""
        body = self._body
        messages: Sequence[Any] = await self._hearing.messages(body.messages)
        self._telemetry.model = self.speech.model  # the request's audio is now what is spoken
        if not any(message.get("role") in _INSTRUCTING for message in messages):
            messages = [{"role": "system", "content": DEFAULT_INSTRUCTIONS}, *messages]
        request = ChatRequest(
            messages, max_tokens=body.most_tokens, usage=True, model=self._model, more=body.fields_of_spoken
        )
        begun = False
        try:
            async with aclosing(self._services.language_model.chat(request, self._reply)) as texts:
                async for text in texts:
                    begun = True
                    yield text
        except LanguageModelRefused:
            if not begun:
                raise
            self._reply.finish_reason = "content_filter"

    async def _audio(self) -> AsyncGenerator[bytes]:
        async with aclosing(in_base64(self.speech.encoded())) as parts:
            async for part in parts:
                yield part.encode()
        self._new_words()

    def _new_words(self) -> str:
        """Return the words of the clauses whose audio has begun since the last call."""
        begun = self.speech.begun
        words = [self._said.begin(text) for text in begun]
        begun.clear()
        return "".join(words)

    async def _remember(self) -> int:
        """Keep the words for a later request, and return until when."""
        text = RememberedText(self._said.text)
        return await self._services.texts.add(self._telemetry.owner, self._audio_id, text)

    @property
    def _model_name(self) -> str:
        return self._reply.model or self._model or self._body.model

    def _calls(self) -> list[FunctionToolCall]:
        return [
            FunctionToolCall(id=call.id, function=CalledFunction(name=call.name, arguments=call.arguments))
            for call in self._reply.tool_calls
        ]

    def _finish_reason(self) -> FinishReason:
        match self._reply.finish_reason:
            case "length" | "content_filter" as reason:
                return reason
        if self._reply.tool_calls:
            return "tool_calls"
        return "stop" if self.speech.finish_reason == "stop" else "length"

    def _usage(self) -> ChatUsage:
        reply, heard, spoken = self._reply, self._hearing.audio_tokens, self.speech.audio_frames
        prompt, completion = reply.input_tokens + heard, reply.output_tokens + spoken
        return ChatUsage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=prompt + completion,
            prompt_tokens_details=PromptTokens(
                text_tokens=reply.input_tokens, audio_tokens=heard, cached_tokens=reply.cached_tokens
            ),
            completion_tokens_details=CompletionTokens(
                text_tokens=reply.output_tokens - reply.reasoning_tokens,
                audio_tokens=spoken,
                reasoning_tokens=reply.reasoning_tokens,
            ),
        )

    def _chunk(self, delta: Delta, finish_reason: FinishReason | None = None) -> SpokenChunk:
        choice = ChunkChoice(delta=delta, finish_reason=finish_reason)
        return SpokenChunk(id=self._id, created=self._created, model=self._model_name, choices=[choice])
