"""Chat completions without a spoken answer: the language model's own, by OpenAI's client."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from tests.fake_triton import FakeTriton
from tests.stand_ins.language_model import LanguageModelServer
from tests.unit.gateway.chat.conftest import ANSWER, question, texts_of
from tests.unit.gateway.conftest import Gateway, Serve, leaving

HELLO: list[Any] = [{"role": "user", "content": "Hello?"}]
COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "small-model",
    "choices": [
        {
            "index": index,
            "message": {"role": "assistant", "content": text, "reasoning_content": "Hm."},
            "logprobs": {"content": [{"token": "Yes", "logprob": -0.5, "bytes": [89], "top_logprobs": []}]},
            "finish_reason": "stop",
        }
        for index, text in enumerate(("Yes.", "Yes!"))
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}


async def asked(gateway: Gateway, messages: Any = HELLO, **fields: Any) -> Any:
    return await gateway.openai.chat.completions.create(messages=messages, **{"model": "gpt-audio", **fields})


async def test_an_answer_and_its_request_are_passed_on_whole(
    gateway: Gateway, triton: FakeTriton, language_model: LanguageModelServer
) -> None:
    language_model.whole = COMPLETION
    fields: dict[str, Any] = {
        "n": 2,
        "logprobs": True,
        "temperature": 0.25,
        "seed": 7,
        "stop": ["\n"],
        "max_completion_tokens": 9,
        "response_format": {"type": "json_object"},
        "tools": [{"type": "function", "function": {"name": "time_of"}}],
        "metadata": {"topic": "trains"},
        "store": False,
        "modalities": ["text"],
        "user": "me",
    }
    completion = await asked(gateway, **fields, extra_body={"top_k": 5})
    assert completion.to_dict() == COMPLETION
    (request,) = language_model.requests
    assert request == {**fields, "top_k": 5, "messages": HELLO, "model": "small-model"}
    assert not triton.calls


async def test_a_stream_is_passed_on_event_by_event(gateway: Gateway, language_model: LanguageModelServer) -> None:
    language_model.words = ["Good ", "morning."]
    language_model.gate.clear()
    stream = await asked(gateway, stream=True, stream_options={"include_usage": True})
    async with asyncio.timeout(300):
        assert (await anext(stream)).choices[0].delta.content == "Good "
        language_model.gate.set()
        assert [chunk.choices[0].delta.content async for chunk in stream] == ["morning."]
    assert language_model.requests[0]["stream_options"] == {"include_usage": True}
    response = await gateway.http.post(
        "/v1/chat/completions", json={"model": "gpt-audio", "messages": HELLO, "stream": True}
    )
    assert response.text.endswith("data: [DONE]\n\n")


async def test_a_spoken_question_may_get_an_answer_in_text(
    gateway: Gateway, triton: FakeTriton, language_model: LanguageModelServer
) -> None:
    chunks = [chunk async for chunk in await asked(gateway, [question(3, "Answer:")], stream=True)]
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == ANSWER
    assert language_model.requests[0]["messages"] == [{"role": "user", "content": "Answer:\npart 3"}]
    assert not texts_of(triton)


@pytest.mark.parametrize("address", ["file:///etc/passwd", "/etc/passwd"])
@pytest.mark.parametrize("modalities", [["text"], ["text", "audio"]])
async def test_a_file_of_the_language_models_machine_is_not_asked_for(
    gateway: Gateway, language_model: LanguageModelServer, address: str, modalities: Any
) -> None:
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": address}}]
    with pytest.raises(openai.BadRequestError, match="https address") as caught:
        await asked(gateway, [{"role": "user", "content": parts}], modalities=modalities)
    assert caught.value.param == "messages[0].content[1].image_url.url"
    assert not language_model.requests


@pytest.mark.parametrize("name", ["gpt-audio", "gpt-audio-mini", "gpt-4o-audio-preview-2025-06-03", "mine"])
async def test_a_name_of_openai_stands_for_the_language_model(
    serve: Serve, language_model: LanguageModelServer, name: str
) -> None:
    language_model.whole = COMPLETION
    async with serve(llm_url=language_model.url, llm_model="mine") as gateway:
        await asked(gateway, model=name)
    assert language_model.requests[0]["model"] == "mine"


async def test_another_name_is_the_servers_unless_the_operator_has_chosen(
    gateway: Gateway, serve: Serve, language_model: LanguageModelServer
) -> None:
    language_model.whole = COMPLETION
    await asked(gateway, model="large-model")
    assert language_model.requests[0]["model"] == "large-model"
    async with serve(llm_url=language_model.url, llm_model="mine") as chosen:
        with pytest.raises(openai.NotFoundError, match="gpt-audio or mine") as caught:
            await asked(chosen, model="large-model")
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")


async def test_the_answer_has_at_most_the_operators_tokens(serve: Serve, language_model: LanguageModelServer) -> None:
    language_model.whole = COMPLETION
    async with serve(llm_url=language_model.url, llm_max_tokens=100) as gateway:
        await asked(gateway)
        await asked(gateway, max_completion_tokens=1000)
        await asked(gateway, max_tokens=7, max_completion_tokens=1000)
    limits = [(each.get("max_tokens"), each.get("max_completion_tokens")) for each in language_model.requests]
    assert limits == [(100, None), (None, 100), (7, 100)]


@pytest.mark.parametrize("status", [400, 404, 422])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_servers_finds_wrong_is_told(
    gateway: Gateway, language_model: LanguageModelServer, status: int, stream: bool
) -> None:
    language_model.status = status
    language_model.problem = "temperature must be below 2"
    with pytest.raises(openai.BadRequestError, match="temperature must be below 2"):
        await asked(gateway, stream=stream, temperature=5)


@pytest.mark.parametrize(("status", "shown"), [(401, 502), (429, 503), (500, 502)])
async def test_what_the_server_fails_at_is_told_without_details(
    gateway: Gateway, language_model: LanguageModelServer, status: int, shown: int
) -> None:
    language_model.status = status
    with pytest.raises(openai.APIStatusError) as caught:
        await asked(gateway)
    assert caught.value.status_code == shown
    assert "secret" not in str(caught.value.body)


async def test_an_error_in_the_stream_ends_it_without_details(
    gateway: Gateway, language_model: LanguageModelServer
) -> None:
    language_model.choices = [{"delta": {"content": "Good"}}]
    language_model.breaks_off = True
    stream = await asked(gateway, stream=True)
    with pytest.raises(openai.APIError, match="broke off"):
        async for _ in stream:
            pass


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_stops_the_language_model(
    gateway: Gateway, language_model: LanguageModelServer, stream: bool
) -> None:
    language_model.whole = COMPLETION
    language_model.gate.clear()

    async def read() -> None:
        async for _ in await asked(gateway, stream=stream):
            pass

    async with asyncio.timeout(300):
        async with leaving(read()):
            while not language_model.requests:  # noqa: ASYNC110 - the stand-in has no event for it
                await asyncio.sleep(0.01)
        await language_model.left.wait()


async def test_a_completions_server_cannot_chat(serve: Serve, language_model: LanguageModelServer) -> None:
    async with serve(llm_url=language_model.url, llm_api="completions") as gateway:
        with pytest.raises(openai.APIStatusError, match="LLM_API") as caught:
            await asked(gateway)
    assert caught.value.status_code == 501
