"""The client of a language model: both routes, streams, and the errors of the server behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from gateway.core.errors import (
    ContextExceeded,
    DeadlineExceeded,
    LanguageModelBusy,
    LanguageModelFailed,
    LanguageModelMissing,
    LanguageModelRefused,
)
from gateway.core.language_model import LanguageModel, LanguageModelOptions, Message
from tests.stand_ins.language_model import LanguageModelServer


@asynccontextmanager
async def language_model(url: str) -> AsyncIterator[LanguageModel]:
    model = LanguageModel(LanguageModelOptions(url))
    try:
        yield model
    finally:
        await model.close()


QUESTION = [Message("system", "Summarize."), Message("user", "A long text.")]


@pytest.fixture
async def server() -> AsyncIterator[LanguageModelServer]:
    async with LanguageModelServer().serving() as server:
        yield server


async def test_the_answer_of_a_chat_is_the_joined_pieces(server: LanguageModelServer) -> None:
    model = LanguageModel(LanguageModelOptions(server.url, "qwen", "sk-1", max_tokens=7))
    assert await model.complete(QUESTION) == "It is done."
    await model.close()
    (request,) = server.requests
    assert request["messages"] == [
        {"role": "system", "content": "Summarize."},
        {"role": "user", "content": "A long text."},
    ]
    assert (request["model"], request["max_tokens"], server.keys) == ("qwen", 7, ["Bearer sk-1"])


async def test_completions_get_the_messages_as_one_prompt(server: LanguageModelServer) -> None:
    model = LanguageModel(LanguageModelOptions(server.url, "qwen", api="completions"))
    assert await model.complete(QUESTION) == "It is done."
    await model.close()
    assert server.requests[0]["prompt"] == "Summarize.\n\nA long text.\n\n"


async def test_the_first_model_of_the_server_is_used_without_a_name(server: LanguageModelServer) -> None:
    model = LanguageModel(LanguageModelOptions(server.url))
    await model.complete(QUESTION)
    await model.close()
    assert server.requests[0]["model"] == "small-model"


async def test_pieces_arrive_while_the_model_writes(server: LanguageModelServer) -> None:
    server.gate.clear()
    model = LanguageModel(LanguageModelOptions(server.url))
    async with aclosing(model.stream(QUESTION)) as pieces:
        assert await anext(pieces) == "It"
    async with asyncio.timeout(300):
        await server.left.wait()
    await model.close()


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_an_error_of_the_server_is_told_without_its_details(server: LanguageModelServer, status: int) -> None:
    server.status = status
    model = LanguageModel(LanguageModelOptions(server.url))
    with pytest.raises(LanguageModelFailed, match=f"status {status}$") as caught:
        await model.complete(QUESTION)
    await model.close()
    assert "secret" in caught.value.detail


async def test_a_rejected_key_is_told_with_its_setting(server: LanguageModelServer) -> None:
    server.status = 401
    async with language_model(server.url) as model:
        with pytest.raises(LanguageModelFailed, match="LLM_API_KEY"):
            await model.complete(QUESTION)


async def test_a_busy_server_says_when_to_come_again(server: LanguageModelServer) -> None:
    server.status, server.retry_after = 429, "7"
    async with language_model(server.url) as model:
        with pytest.raises(LanguageModelBusy, match="status 429") as caught:
            await model.complete(QUESTION)
    assert caught.value.retry_after == 7


async def test_a_refusal_is_told_as_a_whole(server: LanguageModelServer) -> None:
    server.choices = [{"delta": {"refusal": "I cannot"}}, {"delta": {"refusal": " say that."}}]
    async with language_model(server.url) as model:
        with pytest.raises(LanguageModelRefused, match=r"refused: I cannot say that\.$"):
            await model.complete(QUESTION)


async def test_an_answer_that_a_filter_ended_is_refused(server: LanguageModelServer) -> None:
    server.choices = [{"delta": {"content": "I"}}, {"delta": {}, "finish_reason": "content_filter"}]
    async with language_model(server.url) as model:
        with pytest.raises(LanguageModelRefused, match="filter ended the answer"):
            await model.complete(QUESTION)


async def test_a_prompt_that_a_filter_rejects_is_refused(server: LanguageModelServer) -> None:
    server.status, server.problem = 400, "content_filter: violence"
    async with language_model(server.url) as model:
        with pytest.raises(LanguageModelRefused, match="filter refused the prompt"):
            await model.complete(QUESTION)


@pytest.mark.parametrize(
    "problem",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
        "the request exceeds the available context size, try increasing it",
        "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
        "Your input exceeds the limit of this model (context_length_exceeded).",
        "Please reduce the length of the messages or completion.",
        "`inputs` tokens + `max_new_tokens` must be <= 4096.",
    ],
)
async def test_too_long_a_text_is_told_apart(server: LanguageModelServer, problem: str) -> None:
    server.status, server.problem = 400, problem
    async with language_model(server.url) as model:
        with pytest.raises(ContextExceeded, match="longer than the language model's context"):
            await model.complete(QUESTION)


async def test_an_answer_without_an_end_is_an_error(server: LanguageModelServer) -> None:
    server.breaks_off = True
    model = LanguageModel(LanguageModelOptions(server.url))
    with pytest.raises(LanguageModelFailed, match="broke off"):
        await model.complete(QUESTION)
    await model.close()


async def test_an_empty_answer_is_an_error(server: LanguageModelServer) -> None:
    server.words = [" "]
    model = LanguageModel(LanguageModelOptions(server.url))
    with pytest.raises(LanguageModelFailed, match="empty"):
        await model.complete(QUESTION)
    await model.close()


async def test_a_silent_model_is_given_up(server: LanguageModelServer) -> None:
    server.gate.clear()
    model = LanguageModel(LanguageModelOptions(server.url, model="small-model", timeout=0.2))
    with pytest.raises(DeadlineExceeded, match=r"sent nothing for 0\.2 s"):
        await model.complete(QUESTION)
    await model.close()


async def test_a_server_out_of_reach_is_an_error() -> None:
    model = LanguageModel(LanguageModelOptions("http://127.0.0.1:9/v1"))
    with pytest.raises(LanguageModelFailed, match="out of reach"):
        await model.complete(QUESTION)
    await model.close()


async def test_no_address_is_an_error_that_names_the_setting() -> None:
    model = LanguageModel(LanguageModelOptions(""))
    with pytest.raises(LanguageModelMissing, match="LLM_URL"):
        await model.complete(QUESTION)
    await model.close()
