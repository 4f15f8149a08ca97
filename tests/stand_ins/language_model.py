"""A stand-in for an OpenAI-compatible language model: it streams scripted words, fails, or stops half-way.

Real models answer through the same two routes; this one proves nothing about what they write.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


@dataclass
class LanguageModelServer:
    """A server on loopback that answers each request with `words`."""

    words: list[str] = field(default_factory=lambda: ["It", " is", " done."])
    choices: list[dict[str, Any]] | None = None
    """Events to send instead of the words."""
    pace: float = 0.0
    """Seconds before each word; for benchmarks."""
    status: int = 200
    problem: str = "the secret reason"
    """The message of an error."""
    retry_after: str = ""
    most_messages: int | None = None
    """The size of its context."""
    usage: dict[str, Any] | None = None
    """What an answer says of its tokens."""
    breaks_off: bool = False
    """Whether an answer ends without its last event."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Words after the first wait for it; set from the start."""
    whole: dict[str, Any] | None = None
    """The answer to a request without `stream`."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client leaves before the end."""
    url: str = ""

    def __post_init__(self) -> None:
        self.gate.set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        routes = [
            Route("/v1/models", self._models),
            Route("/v1/chat/completions", self._answer, methods=["POST"]),
            Route("/v1/completions", self._answer, methods=["POST"]),
        ]
        config = uvicorn.Config(Starlette(routes=routes), log_config=None, lifespan="off", timeout_keep_alive=600)
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve([listener]))
        try:
            yield self
        finally:
            self.gate.set()
            server.should_exit = True
            await running
            listener.close()

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "small-model", "object": "model"}]})

    async def _answer(self, request: Request) -> Response:
        self.requests.append(await request.json())
        self.keys.append(request.headers.get("authorization", ""))
        if self.most_messages is not None and len(self.requests[-1]["messages"]) > self.most_messages:
            problem = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."
            return JSONResponse({"error": {"message": problem, "type": "BadRequestError", "code": 400}}, 400)
        if self.status != 200:
            headers = {"retry-after": self.retry_after} if self.retry_after else None
            return JSONResponse({"error": {"message": self.problem}}, self.status, headers)
        if self.whole is not None and not self.requests[-1].get("stream"):
            return await self._at_once(request, self.whole)
        return StreamingResponse(
            self._events(chat=request.url.path.endswith("chat/completions")), media_type="text/event-stream"
        )

    async def _events(self, *, chat: bool) -> AsyncIterator[str]:
        try:
            for index, choice in enumerate(self.choices or self._words(chat=chat)):
                if index:
                    await self.gate.wait()
                if self.pace:
                    await asyncio.sleep(self.pace)
                yield f"data: {json.dumps({'choices': [choice]})}\n\n"
            if self.usage:
                yield f"data: {json.dumps({'choices': [], 'usage': self.usage})}\n\n"
            if not self.breaks_off:
                yield "data: [DONE]\n\n"
        except asyncio.CancelledError:
            self.left.set()
            raise

    async def _at_once(self, request: Request, answer: dict[str, Any]) -> Response:
        gone, ready = asyncio.ensure_future(request.receive()), asyncio.ensure_future(self.gate.wait())
        done, waiting = await asyncio.wait({gone, ready}, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        if gone in done:
            self.left.set()
        return JSONResponse(answer)

    def _words(self, *, chat: bool) -> list[dict[str, Any]]:
        return [{"delta": {"content": word}} if chat else {"text": word} for word in self.words]


@contextmanager
def language_model_thread() -> Iterator[str]:
    """Run a server in a thread of its own; yield its address."""
    started = threading.Event()
    server = LanguageModelServer()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with server.serving():
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert started.wait(300)
    try:
        yield server.url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
