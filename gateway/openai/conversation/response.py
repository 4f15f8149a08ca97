"""One response: what a language model writes, spoken while it is written, or as text, and its calls of functions."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final, Literal

from gateway.core.chat_reply import ChatRequest, Reply
from gateway.core.errors import ContextExceeded, LanguageModelRefused
from gateway.core.services import Services
from gateway.core.spoken_clause import SpokenClause
from gateway.core.synthesize import SynthesisRequest
from gateway.core.telemetry import WorkTelemetry
from gateway.core.written_speech import speak_while_written
from gateway.openai.conversation.config import ResponseOptions
from gateway.openai.conversation.history import Entry, History
from gateway.openai.conversation.items import Message, Status
from gateway.openai.conversation.output import MessageOutput, Output, truncated
from gateway.openai.conversation.playback import NewPlayback
from gateway.openai.conversation.spoken import SpokenText, shorter
from gateway.openai.realtime.input_audio import session_error
from gateway.openai.realtime.items import Send
from gateway.openai.realtime.protocol import event, new_id
from tritone.contract import SPEECH_RATE

_PIECE_BYTES: Final = SPEECH_RATE // 5 * 2
"""Audio of one event: 200 ms."""

Reason = Literal["turn_detected", "client_cancelled"]

logger = logging.getLogger(__name__)


def speech_request(options: ResponseOptions) -> SynthesisRequest:
    """Return the request of the voice that the answer is spoken in."""
    output = options.output
    return SynthesisRequest("", output.model, output.voice_name, speed=output.speed, audio_format="pcm")


class Response:
    """One response. `run` it once, in a task that may be cancelled; `interrupt` ends it with its last events."""

    def __init__(
        self,
        services: Services,
        options: ResponseOptions,
        history: History,
        send: Send,
        telemetry: WorkTelemetry,
        *,
        new_playback: NewPlayback,
        entries: list[Entry] | None = None,
    ) -> None:
        """`entries`: the items to answer; None: those of `history`."""
        self.id = new_id("resp")
        self.options = options
        self._services = services
        self._history = history
        self._entries = entries
        self._send = send
        self._telemetry = telemetry
        self._output = Output(self.id, send, history if options.in_conversation else None)
        self._reply = Reply()
        self._reason: Reason | None = None
        self._writing: asyncio.Task[None] | None = None
        self._message: MessageOutput | None = None
        """The one that is open."""
        self._spoken = SpokenText()
        self._playback = new_playback(self.id, options.output.format.type)
        self._ended = False
        self.seconds = 0.0
        """Seconds of audio that were sent."""

    @property
    def heard(self) -> str:
        """The words that the client can have played by now."""
        return self._spoken.heard(self._playback.played * 1000)

    @property
    def playing(self) -> bool:
        """Whether the client may still play its audio."""
        return self._playback.playing

    async def cut(self) -> None:
        """End the playback at once. What was not heard is forgotten, at the end of the response at the latest."""
        await self._playback.cut()
        if self._ended:
            await self._forget_unheard()

    def interrupt(self, reason: Reason) -> None:
        """Stop the language model and the speech at once."""
        self._reason = self._reason or reason
        if self._writing:
            self._writing.cancel()

    async def run(self) -> None:
        """Answer; errors become part of the events."""
        await self._send(event("response.created", response=self._fields("in_progress")))
        status: str = "completed"
        details: dict[str, Any] = {}
        self._writing = asyncio.create_task(self._write())
        if self._reason:
            self._writing.cancel()
        try:
            await asyncio.wait({self._writing})
        finally:
            self._writing.cancel()
            (outcome,) = await asyncio.gather(self._writing, return_exceptions=True)
        if self._reason and isinstance(outcome, asyncio.CancelledError):
            status, details = "cancelled", {"reason": self._reason}
        elif isinstance(outcome, LanguageModelRefused):
            status, details = "incomplete", {"reason": "content_filter"}
        elif isinstance(outcome, Exception):
            error = session_error(outcome)
            logger.warning("%s failed: %s", self.id, error.message)
            body = error.body()["error"]
            status = "failed"
            details = {"error": {name: body[name] for name in ("type", "code", "message")}}
        elif self._reply.finish_reason == "length":
            status, details = "incomplete", {"reason": "max_output_tokens"}
        await self._end_message("completed" if status == "completed" else "incomplete", cut=status == "cancelled")
        if details:
            details = {"type": status, **details}
        self._ended = True
        await self._send(event("response.done", response=self._fields(status, details)))
        if self._playback.was_cut:
            await self._forget_unheard()
        await self._playback.end()

    async def _write(self) -> None:
        options = self.options
        if self._entries is None:
            await self._history.wait_complete()
        texts = self._texts()
        if options.modality == "audio":
            await self._speak(texts)
        else:
            async with aclosing(texts):
                async for text in texts:
                    self._message = self._message or await self._output.add_message("text", None)
                    await self._message.write(text)
        await self._end_message("completed" if self._reply.finish_reason != "length" else "incomplete")
        for call in self._reply.tool_calls:
            await self._output.add_call(call)

    async def _texts(self) -> AsyncGenerator[str]:
        """Yield what the language model writes; it does not see more of the conversation than fits its context."""
        history, truncation = self._history, self.options.truncation
        if self._entries is None:
            history.limit(truncation)
        while True:
            request = self._request()
            size = history.size + len((self.options.instructions + json.dumps(request.tools)).encode())
            try:
                async with aclosing(self._services.language_model.chat(request, self._reply)) as texts:
                    async for text in texts:
                        yield text
            except ContextExceeded:
                if self._entries is None and history.shorten(truncation):
                    continue
                raise
            if self._entries is None and self._reply.input_tokens:
                history.learn(size, self._reply.input_tokens)
            return

    def _request(self) -> ChatRequest:
        options = self.options
        messages = self._history.messages(self._entries)
        if options.instructions:
            messages = [{"role": "system", "content": options.instructions}, *messages]
        return ChatRequest(
            messages,
            tuple(tool.for_chat() for tool in options.tools),
            options.chat_choice(),
            options.parallel_tool_calls,
            options.reasoning.effort if options.reasoning else None,
            None if options.max_output_tokens == "inf" else options.max_output_tokens,
            usage=True,
        )

    async def _speak(self, texts: AsyncGenerator[str]) -> None:
        request, telemetry = speech_request(self.options), self._telemetry.part(self.id)
        speech = await speak_while_written(self._services, texts, request, telemetry)
        async with aclosing(speech.spoken()) as clauses:
            async for clause in clauses:
                await self._say(clause)
        if self._message:
            await self._playback.flush(self._message)

    async def _say(self, clause: SpokenClause) -> None:
        """Send the words of a clause and its audio, as its first audio is there."""
        begun = False
        async for block in clause.blocks():
            if not begun:
                begun = True
                self._message = self._message or await self._output.add_message("audio", self._spoken)
                await self._message.write(self._spoken.begin(clause.text))
            assert self._message
            for start in range(0, len(block), _PIECE_BYTES):
                piece = block[start : start + _PIECE_BYTES]
                await self._playback.play(piece, self._message)
                self._spoken.add(len(piece) // 2)
                self.seconds += len(piece) / 2 / SPEECH_RATE
        if begun:
            self._spoken.end()

    async def _forget_unheard(self) -> None:
        """Keep the words that the client can have played by now; tell it, unless it ends the playback itself."""
        for item in self._output.items:
            if isinstance(item, Message) and item.content[0].type == "output_audio":
                item.content[0].transcript = shorter(item.content[0].transcript or "", self.heard)
                if self._playback.was_cut and self._history.has(item.id):
                    end = min(round(self._playback.played * 1000), self._spoken.milliseconds)
                    await self._send(truncated(item.id, end, item.content[0].transcript))

    async def _end_message(self, status: Status, *, cut: bool = False) -> None:
        if self._message:
            message, self._message = self._message, None
            await message.end(status, self.heard if cut else None)

    def _fields(self, status: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the response as events have it."""
        options = self.options
        done = status != "in_progress"
        audio = {"format": options.output.format.model_dump(), "voice": options.output.voice_name}
        return {
            "id": self.id,
            "object": "realtime.response",
            "status": status,
            "status_details": details or None,
            "output": [item.fields() for item in self._output.items],
            "conversation_id": self._history.id if options.in_conversation else None,
            "output_modalities": [options.modality],
            "max_output_tokens": options.max_output_tokens,
            "audio": {"output": audio},
            "metadata": dict(options.metadata) if options.metadata is not None else None,
            "usage": self._usage() if done else None,
        }

    def _usage(self) -> dict[str, Any]:
        """Return the tokens that the language model counted; the audio has none."""
        reply = self._reply
        return {
            "input_tokens": reply.input_tokens,
            "output_tokens": reply.output_tokens,
            "total_tokens": reply.input_tokens + reply.output_tokens,
            "input_token_details": {"text_tokens": reply.input_tokens, "audio_tokens": 0, "cached_tokens": 0},
            "output_token_details": {"text_tokens": reply.output_tokens, "audio_tokens": 0},
        }
