"""The responses of one conversation: which of them runs, and when a turn of the user is answered."""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.errors import BadRequest
from gateway.openai.conversation.config import ConversationConfig, ResponseChanges, ResponseOptions
from gateway.openai.conversation.history import Entry, History
from gateway.openai.conversation.items import item_of
from gateway.openai.conversation.playback import NewPlayback
from gateway.openai.conversation.response import Response
from gateway.openai.realtime.items import Send
from tritone.errors import InvalidInput

_MOST_AT_ONCE: Final = 4
"""Responses of one session at once; one of them belongs to its conversation."""


class Answers:
    """Runs the responses of one session. `close` it when the client has disconnected."""

    def __init__(
        self,
        services: Services,
        config: ConversationConfig,
        history: History,
        send: Send,
        telemetry: WorkTelemetry,
        *,
        new_playback: NewPlayback,
    ) -> None:
        self.config = config
        """The session's; a change counts for the responses that follow."""
        self._services = services
        self._history = history
        self._send = send
        self._telemetry = telemetry
        self._new_playback = new_playback
        self._running: dict[asyncio.Task[None], Response] = {}
        self._active: Response | None = None
        """The one that belongs to the conversation."""
        self._audible: list[Response] = []
        """Responses whose audio may still be played, or come."""
        self._owed = False
        """Whether the user has said something that is to be answered."""
        self._speaking = False
        """Whether the user is speaking."""
        self._untranscribed = 0
        """Turns that are over and have no text yet."""
        self._ended_seconds = 0.0
        self._closed = False

    @property
    def seconds(self) -> float:
        """Seconds of audio that were sent."""
        return self._ended_seconds + sum(response.seconds for response in self._running.values())

    @property
    def due(self) -> bool:
        """Whether it is the assistant's turn: it owes an answer, makes one, or the client may still play the last."""
        waiting = bool(self._active or self._untranscribed or self._owed)
        return waiting or any(response.playing for response in self._audible)

    def create(self, changes: ResponseChanges) -> None:
        """Begin a response. Raises `InvalidInput` and `BadRequest`."""
        options = ResponseOptions.of(self.config, changes)
        entries = None if options.input is None else [self._entry(given) for given in options.input]
        if options.in_conversation and self._active:
            raise BadRequest(
                f"response: {self._active.id} is in progress in this conversation; cancel it, or wait for its end",
                code="conversation_already_has_active_response",
            )
        if len(self._running) >= _MOST_AT_ONCE:
            raise BadRequest(f"response: {_MOST_AT_ONCE} responses are in progress; wait for the end of one")
        response = Response(
            self._services,
            options,
            self._history,
            self._send,
            self._telemetry,
            new_playback=self._new_playback,
            entries=entries,
        )
        self._begin(response)

    def cancel(self, response_id: str | None) -> None:
        """Cancel a response; without an id, the one of the conversation. Raises `BadRequest` if there is none."""
        for response in self._running.values():
            if response.id == response_id or (response_id is None and response is self._active):
                response.interrupt("client_cancelled")
                return
        wanted = "no response" if response_id is None else f"no response {str(response_id)[:64]!r}"
        raise BadRequest(
            f"response_id: {wanted} is in progress", param="response_id", code="response_cancel_not_active"
        )

    async def user_began(self, *, interrupts: bool) -> None:
        """Let the user speak: stop the response that is in progress or played, if a turn `interrupts` it."""
        self._speaking = True
        if not interrupts:
            return
        if self._active:
            self._active.interrupt("turn_detected")
        await self.cut()

    async def cut(self) -> None:
        """Stop the playback, and forget what was not heard."""
        audible, self._audible = self._audible, []
        for response in audible:
            await response.cut()

    def user_stopped(self) -> None:
        """Wait for the text of a turn that is over."""
        self._speaking = False
        self._untranscribed += 1

    def user_cleared(self) -> None:
        """Forget the turn that has begun."""
        self._speaking = False
        self._answer()

    def turn_transcribed(self, *, answer: bool) -> None:
        """Answer what the user has said, if there is something to answer, as soon as no response is in progress."""
        self._untranscribed -= 1
        self._owed |= answer
        self._answer()

    async def close(self) -> None:
        """Cancel all responses, and begin no more: a turn may get its text meanwhile."""
        self._closed = True
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _answer(self) -> None:
        waits = self._speaking or self._untranscribed or self._active or len(self._running) >= _MOST_AT_ONCE
        if self._owed and not waits and not self._closed:
            self.create(ResponseChanges())

    def _begin(self, response: Response) -> None:
        if response.options.in_conversation:
            self._active = response
            self._owed = False
        running = self._running.values()
        self._audible = [*(other for other in self._audible if other.playing or other in running), response]
        task = asyncio.create_task(response.run())
        self._running[task] = response
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        response = self._running.pop(task)
        self._ended_seconds += response.seconds
        if response is self._active:
            self._active = None
        self._answer()

    def _entry(self, given: object) -> Entry:
        if isinstance(given, dict) and given.get("type") == "item_reference":
            return self._history.find(given.get("id"), "response.input.id")
        item = item_of(given, "response.input")
        if any(part.audio and not part.transcript for part in getattr(item, "content", ())):
            raise InvalidInput("response.input", "audio needs its transcript here; or create an item, and refer to it")
        return Entry(item)
