"""The client of a language model: any server with OpenAI's `/chat/completions` or `/completions`."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import httpx2

from gateway.core.chat_reply import ChatRequest, Reply
from gateway.core.errors import (
    ContextExceeded,
    DeadlineExceeded,
    LanguageModelBusy,
    LanguageModelFailed,
    LanguageModelMissing,
    LanguageModelRefused,
    LanguageModelRejected,
)
from tritone.errors import InvalidInput

Api = Literal["chat", "completions"]
Role = Literal["system", "user", "assistant"]

_CONNECT_SECONDS: Final = 10.0
_LIMITS: Final = httpx2.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=2.0)
"""Many servers close an idle connection after 5 s, and a request may be on its way then: it is given up before that."""
_LIMITS_OF_TOKENS: Final = ("max_tokens", "max_completion_tokens")
_MOST_ERROR_BYTES: Final = 4096
_MOST_REASON_CHARS: Final = 500
_FIELDS_WRONG: Final = (400, 404, 422)
_EVENTS: Final = "text/event-stream"
_EVENT: Final = "data:"
_END: Final = "[DONE]"
_WRONG_KEY: Final = (401, 403)
_BUSY: Final = (429, 503)
_CONTEXT: Final = re.compile(
    r"context_length_exceeded|exceed_context_size|context (length|size|window)|prompt is too long"
    r"|reduce the length|max_new_tokens`? must be <=",
    re.IGNORECASE,
)
"""How servers say that the messages do not fit: OpenAI, vLLM, SGLang, llama.cpp, Groq, TGI and others."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Message:
    """A message of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True)
class LanguageModelOptions:
    """The address of the server, and what is sent with each request."""

    url: str
    """The base address, such as `http://localhost:8000/v1`; empty: there is none."""
    model: str = ""
    """The model's name; empty: the first that the server lists."""
    api_key: str = ""
    api: Api = "chat"
    max_tokens: int = 2048
    timeout: float = 120.0
    """Seconds until the first token, and between two tokens."""


class LanguageModel:
    """A language model. `close` it after its last request; a generator or task that is closed stops the request."""

    def __init__(self, options: LanguageModelOptions) -> None:
        self._options = options
        self._model = options.model
        headers = {"Authorization": f"Bearer {options.api_key}"} if options.api_key else {}
        self._http = httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(options.timeout, connect=_CONNECT_SECONDS),
            limits=_LIMITS,
            # The certificates of the authorities take 20 ms to read.
            verify=options.url.lower().startswith("https:") or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def check(self) -> None:
        """Raise `LanguageModelMissing` if no address is set."""
        if not self._options.url:
            raise LanguageModelMissing("no language model is set up here: LLM_URL is empty")

    async def complete(self, messages: Sequence[Message]) -> str:
        """Return the whole answer. Raises as `stream` does, and `LanguageModelFailed` for an empty answer."""
        async with aclosing(self.stream(messages)) as pieces:
            answer = "".join([piece async for piece in pieces]).strip()
        if not answer:
            raise LanguageModelFailed("the language model gave an empty answer")
        return answer

    async def stream(self, messages: Sequence[Message]) -> AsyncGenerator[str]:
        """Yield the answer in pieces, as the model writes it. Raises as `chat`."""
        request = ChatRequest([{"role": message.role, "content": message.content} for message in messages])
        async with aclosing(self.chat(request, Reply())) as pieces:
            async for piece in pieces:
                yield piece

    async def chat(self, request: ChatRequest, reply: Reply) -> AsyncGenerator[str]:
        """Yield the text that continues a conversation, as the model writes it; the rest of the answer is in `reply`.

        Raises `LanguageModelMissing`, `LanguageModelFailed`, `LanguageModelBusy`, `LanguageModelRefused`,
        `ContextExceeded`, before any text, and `DeadlineExceeded`; for `more`, `LanguageModelRejected` and
        `InvalidInput`.
        """
        self.check()
        with self._errors():
            body = await self._body(request)
            async with aclosing(self._pieces(body, reply, tells_reason=request.more is not None)) as pieces:
                async for piece in pieces:
                    yield piece

    async def forward(self, fields: Mapping[str, Any]) -> bytes:
        """Return the answer to a request of `/chat/completions`, as the server gives it.

        `fields`: those of the client, but for the limit of tokens; an empty `model` is LLM_MODEL. Raises as `chat`
        does for `more`. The caller limits the time.
        """
        self.check()
        with self._errors():
            async with self._answered(await self._limited(fields), whole=True) as answer:
                await self._check(answer, tells_reason=True)
                content = await answer.aread()
                if not answer.headers.get("content-type", "").startswith("application/json"):
                    raise LanguageModelFailed(
                        "the language model sent something unreadable", detail=content[:100].decode(errors="replace")
                    )
                return content

    async def forward_events(self, fields: Mapping[str, Any]) -> AsyncGenerator[str]:
        """Yield the JSON text of each event of an answer with `stream`; else as `forward`."""
        self.check()
        with self._errors():
            async with self._answered(await self._limited(fields)) as answer:
                await self._check(answer, tells_reason=True)
                if not answer.headers.get("content-type", "").startswith(_EVENTS):
                    raise LanguageModelFailed("the language model's server does not stream")
                async with aclosing(self._events(answer)) as events:
                    async for data in events:
                        if '"error"' in data and (error := json.loads(data).get("error")):
                            raise LanguageModelFailed("the language model failed", detail=json.dumps(error))
                        yield data

    async def _limited(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields with a model, and with a limit of the answer's tokens."""
        most = self._options.max_tokens
        limits = {name: min(fields[name], most) for name in _LIMITS_OF_TOKENS if fields.get(name)}
        return {**fields, "model": fields["model"] or await self._default_model(), **(limits or {"max_tokens": most})}

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise the errors of the connection, and of reading what it brings, as those of `chat`."""
        try:
            yield
        except (httpx2.TimeoutException, TimeoutError) as error:
            raise DeadlineExceeded(f"the language model sent nothing for {self._options.timeout:g} s") from error
        except httpx2.HTTPError as error:
            raise LanguageModelFailed("the language model is out of reach", detail=repr(error)) from error
        except InvalidInput:
            raise
        except (ValueError, LookupError, TypeError) as error:
            raise LanguageModelFailed("the language model sent something unreadable", detail=repr(error)) from error

    async def _body(self, request: ChatRequest) -> dict[str, Any]:
        most = self._options.max_tokens
        body: dict[str, Any] = {
            **(request.more or {}),
            "stream": True,
            "max_tokens": min(request.max_tokens or most, most),
        }
        body["model"] = request.model or await self._default_model()
        if self._options.api == "completions":
            contents = [message.get("content") for message in request.messages]
            body["prompt"] = "\n\n".join(content for content in contents if isinstance(content, str)) + "\n\n"
            return body
        body["messages"] = list(request.messages)
        if request.tools:
            body["tools"] = list(request.tools)
            if request.tool_choice is not None:
                body["tool_choice"] = request.tool_choice
            if request.parallel_tool_calls is not None:
                body["parallel_tool_calls"] = request.parallel_tool_calls
        if request.reasoning_effort is not None:
            body["reasoning_effort"] = request.reasoning_effort
        if request.usage:
            body["stream_options"] = {"include_usage": True}
        return body

    async def _default_model(self) -> str:
        if not self._model:
            answer = await self._http.get(self._address("models"))
            await self._check(answer)
            self._model = str(answer.json()["data"][0]["id"])
        return self._model

    async def _pieces(self, body: dict[str, Any], reply: Reply, *, tells_reason: bool) -> AsyncGenerator[str]:
        async with self._answered(body) as answer:
            await self._check(answer, tells_reason=tells_reason)
            if not answer.headers.get("content-type", "").startswith(_EVENTS):
                if text := reply.text_of(json.loads(await answer.aread())):
                    yield text
                reply.end()
                return
            async with aclosing(self._events(answer)) as events:
                async for data in events:
                    if text := reply.text_of(json.loads(data)):
                        yield text
            reply.end()

    @asynccontextmanager
    async def _answered(self, body: Mapping[str, Any], *, whole: bool = False) -> AsyncIterator[httpx2.Response]:
        """Send a request; `whole`: the server sends nothing before the end of its answer, which may take long."""
        path = "chat/completions" if self._options.api == "chat" else "completions"
        try:
            content = json.dumps(body, allow_nan=False).encode()
        except ValueError:
            raise InvalidInput("body", "it holds a number that is out of range") from None
        headers = {"content-type": "application/json"}
        timeout = httpx2.Timeout(None if whole else self._options.timeout, connect=_CONNECT_SECONDS)
        address = self._address(path)
        async with self._http.stream("POST", address, content=content, headers=headers, timeout=timeout) as answer:
            yield answer

    async def _events(self, answer: httpx2.Response) -> AsyncGenerator[str]:
        """Yield the JSON text of each event before the last."""
        lines = answer.aiter_lines()
        while True:
            try:
                async with asyncio.timeout(self._options.timeout):
                    line = await anext(lines)
            except StopAsyncIteration:
                raise LanguageModelFailed("the language model's answer broke off") from None
            data = line.removeprefix(_EVENT).strip() if line.startswith(_EVENT) else ""
            if data == _END:
                return
            if data:
                yield data

    async def _check(self, answer: httpx2.Response, *, tells_reason: bool = False) -> None:
        """Raise the error of an answer that is one; `tells_reason`: to a client whose own fields were sent."""
        if answer.is_success:
            return
        text = (await answer.aread())[:_MOST_ERROR_BYTES].decode(errors="replace")
        status = f"the language model answered with status {answer.status_code}"
        logger.warning("%s: %s", status, text)
        if answer.status_code in _BUSY:
            seconds = answer.headers.get("retry-after", "")
            retry_after = int(seconds) if seconds.isdecimal() else None
            raise LanguageModelBusy(f"{status}: it has too much to do; try again", retry_after, detail=text)
        if "content_filter" in text:  # Azure's error of this code has status 400
            raise LanguageModelRefused("the language model's content filter refused the prompt", detail=text)
        if answer.status_code not in _WRONG_KEY and _CONTEXT.search(text):
            raise ContextExceeded("the text is longer than the language model's context", detail=text)
        if answer.status_code in _WRONG_KEY:
            status += ": it does not accept this server's key (LLM_API_KEY)"
        if tells_reason and answer.status_code in _FIELDS_WRONG and (rejected := _rejected(text)):
            raise rejected
        raise LanguageModelFailed(status, detail=text)

    def _address(self, path: str) -> str:
        return f"{self._options.url.rstrip('/')}/{path}"


def _rejected(text: str) -> LanguageModelRejected | None:
    """Return the error that a body in OpenAI's form, or in that of vLLM's earlier versions, holds; None without one."""
    try:
        body = json.loads(text)
        error = body.get("error", body)
        message, field, code = str(error["message"]), error.get("param"), error.get("code")
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return LanguageModelRejected(
        f"the language model's server: {message[:_MOST_REASON_CHARS]}",
        field if isinstance(field, str) else None,
        code if isinstance(code, str) else None,
    )
