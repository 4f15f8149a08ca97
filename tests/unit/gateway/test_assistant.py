"""The assistant without HTTP: the answer of a language model is spoken while it is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.core.assistant import AssistantRequest, assist
from gateway.core.assistant_templates import AssistantTemplates
from gateway.core.errors import InternalError, LanguageModelBusy, LanguageModelFailed, LanguageModelRefused
from gateway.core.synthesize import SynthesisRequest
from gateway.core.telemetry import WorkTelemetry
from gateway.core.written_speech import WrittenSpeech
from tests.fake_triton import Call, FakeTriton
from tests.stand_ins.language_model import LanguageModelServer
from tests.unit.gateway.conftest import FakeSpeech, Gateway, Serve
from tests.unit.gateway.sound import decode
from tritone.errors import InvalidInput, Overloaded

WORDS = ["Good", " morning.", " It is", " sunny.", " Take", " a hat."]
SENTENCES = ["Good morning.", "It is sunny.", "Take a hat."]


@pytest.fixture
async def llm() -> AsyncIterator[LanguageModelServer]:
    async with LanguageModelServer(words=WORDS).serving() as server:
        yield server


def speech(**fields: Any) -> SynthesisRequest:
    return SynthesisRequest("", None, **{"audio_format": "wav", **fields})


async def answer_of(gateway: Gateway, prompt: str = "Hello?", **fields: Any) -> WrittenSpeech:
    request = AssistantRequest(prompt, speech(**fields.pop("speech", {})), **fields)
    return await assist(gateway.services, request, WorkTelemetry("a1", caller="me"))


async def audio_of(answer: WrittenSpeech) -> bytes:
    return b"".join([piece async for piece in answer.encoded()])


def texts(triton: FakeTriton) -> list[str]:
    return [call.inputs["text"].item().decode() for call in triton.calls]


async def test_each_sentence_is_a_request_in_its_order(
    serve: Serve, triton: FakeTriton, llm: LanguageModelServer
) -> None:
    async with serve(llm_url=llm.url) as gateway:
        answer = await answer_of(gateway, speech={"voice": "af_kore"})
        assert not triton.calls, "nothing is synthesized before the audio is read"
        samples, rate = decode(await audio_of(answer), "wav")
    assert texts(triton) == answer.clauses == SENTENCES
    assert answer.text == "".join(WORDS)
    assert len(samples) / rate == pytest.approx(3 * 1.2, abs=0.01)
    assert answer.audio_seconds == pytest.approx(3 * 1.2, abs=0.01)
    assert {call.parameters["voice"] for call in triton.calls} == {"af_kore"}
    assert len({call.request_id for call in triton.calls}) == 3


async def test_the_first_audio_leaves_before_the_model_has_written_the_rest(
    serve: Serve, llm: LanguageModelServer
) -> None:
    llm.gate.clear()
    llm.words = ["Good morning. It", " is sunny."]
    async with serve(llm_url=llm.url) as gateway:
        answer = await answer_of(gateway)
        async with aclosing(answer.encoded()) as pieces, asyncio.timeout(300):
            assert await anext(pieces)
            assert answer.text == "Good morning. It"
            llm.gate.set()
            async for _ in pieces:
                pass
    assert answer.clauses == ["Good morning.", "It is sunny."]


async def test_clauses_that_end_out_of_order_are_sent_in_order(
    serve: Serve, triton: FakeTriton, llm: LanguageModelServer
) -> None:
    second = asyncio.Event()

    async def model(call: Call) -> AsyncIterator[Any]:
        text = call.inputs["text"].item().decode()
        block = np.full(1200, 100 * (1 + SENTENCES.index(text)), np.int16)
        speech = FakeSpeech(chunks=[block, block])
        async for response in speech(call):
            yield response
            if text == SENTENCES[0]:
                await second.wait()
        if text == SENTENCES[1]:
            second.set()

    model.description = FakeSpeech().description  # type: ignore[attr-defined]
    triton.handlers["kokoro-82m"] = model
    async with serve(llm_url=llm.url) as gateway:
        pcm = await audio_of(await answer_of(gateway, speech={"audio_format": "pcm"}))
    samples = np.frombuffer(pcm, "<i2")
    assert list(samples[::2400]) == [100, 200, 300]


async def test_at_most_two_clauses_are_synthesized_ahead(
    serve: Serve, triton: FakeTriton, llm: LanguageModelServer
) -> None:
    llm.words = [f"This is sentence {word}. " for word in ("one", "two", "three", "four", "five", "six")]
    ahead: list[int] = []

    async def model(call: Call) -> AsyncIterator[Any]:
        ahead.append(triton.calls.index(call) - len(answer.clauses))
        async for response in FakeSpeech()(call):
            yield response

    model.description = FakeSpeech().description  # type: ignore[attr-defined]
    triton.handlers["kokoro-82m"] = model
    async with serve(llm_url=llm.url) as gateway:
        answer = await answer_of(gateway)
        await audio_of(answer)
    assert len(ahead) == 6
    assert max(ahead) <= 2


async def test_a_client_that_leaves_stops_the_writer_and_the_speech(
    serve: Serve, triton: FakeTriton, kokoro: FakeSpeech, llm: LanguageModelServer
) -> None:
    llm.gate.clear()
    llm.words = ["Good morning. It", " is sunny."]
    kokoro.gates = [asyncio.Event()]
    kokoro.gates[0].set()
    kokoro.gates.append(asyncio.Event())
    async with serve(llm_url=llm.url) as gateway, asyncio.timeout(300):
        answer = await answer_of(gateway)
        async with aclosing(answer.encoded()) as pieces:
            await anext(pieces)
        await llm.left.wait()
        await triton.calls[0].cancelled.wait()


async def test_a_wrong_voice_is_told_before_the_language_model_is_asked(serve: Serve, llm: LanguageModelServer) -> None:
    async with serve(llm_url=llm.url) as gateway:
        with pytest.raises(InvalidInput, match="bogus"):
            await answer_of(gateway, speech={"voice": "bogus"})
    assert not llm.requests


async def test_a_later_clause_waits_for_a_model_at_capacity(
    serve: Serve, triton: FakeTriton, llm: LanguageModelServer
) -> None:
    failures = iter([None, Overloaded("full", 1), None, None])

    async def model(call: Call) -> AsyncIterator[Any]:
        if failure := next(failures):
            raise failure
        async for response in FakeSpeech()(call):
            yield response

    model.description = FakeSpeech().description  # type: ignore[attr-defined]
    triton.handlers["kokoro-82m"] = model
    async with serve(llm_url=llm.url) as gateway:
        answer = await answer_of(gateway)
        await audio_of(answer)
    assert answer.clauses == SENTENCES
    assert texts(triton) == [SENTENCES[0], SENTENCES[1], *SENTENCES[1:]]


async def test_a_model_that_fails_ends_the_answer(serve: Serve, kokoro: FakeSpeech, llm: LanguageModelServer) -> None:
    kokoro.chunks, kokoro.failure = [], Overloaded("full", 3)
    async with serve(llm_url=llm.url) as gateway:
        with pytest.raises(Exception, match="at capacity"):
            await audio_of(await answer_of(gateway))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"status": 429}, LanguageModelBusy),
        ({"choices": [{"delta": {"refusal": "No."}}]}, LanguageModelRefused),
        ({"words": [" ", "\n"]}, LanguageModelFailed),
        ({"words": ["```\n", "print(1)\n", "```"]}, LanguageModelFailed),
        ({"breaks_off": True}, LanguageModelFailed),
    ],
)
async def test_a_failure_of_the_language_model_ends_the_answer(
    serve: Serve, llm: LanguageModelServer, change: dict[str, Any], error: type[Exception]
) -> None:
    vars(llm).update(change)
    async with serve(llm_url=llm.url) as gateway:
        with pytest.raises(error):
            await audio_of(await answer_of(gateway))


@pytest.mark.parametrize("prompt", ["", "  ", "x" * 11])
async def test_a_prompt_is_neither_empty_nor_too_long(serve: Serve, llm: LanguageModelServer, prompt: str) -> None:
    async with serve(llm_url=llm.url, assistant_max_prompt_chars=10) as gateway:
        with pytest.raises(InvalidInput, match="prompt"):
            await answer_of(gateway, prompt)


async def test_category_and_style_come_from_the_file(serve: Serve, llm: LanguageModelServer, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'system = "{category} {writing_style} Be brief."\n'
        '[categories]\ndefault = "Help."\nNews = "Read the news."\n'
        '[writing_styles]\ndefault = "Talk."\nother = "Talk like {name}."\n'
    )
    async with serve(llm_url=llm.url, assistant_templates=file) as gateway:
        await audio_of(await answer_of(gateway, "What now?", category="news", writing_style="a pirate"))
        await audio_of(await answer_of(gateway))
        with pytest.raises(InvalidInput, match="category: 'sport' is unknown; choose from: news"):
            await answer_of(gateway, category="sport")
        file.write_text("system = 1")
        with pytest.raises(InternalError):
            await answer_of(gateway)
    first, second = (request["messages"] for request in llm.requests)
    assert first == [
        {"role": "system", "content": "Read the news. Talk like a pirate. Be brief."},
        {"role": "user", "content": "What now?"},
    ]
    assert second[0]["content"] == "Help. Talk. Be brief."


def test_the_built_in_templates_have_defaults_and_take_other_names() -> None:
    templates = AssistantTemplates.load(None)
    assert "{" not in templates.system_message("", "")
    assert "beekeeping" in templates.system_message("beekeeping", "formal")
    with pytest.raises(InvalidInput, match="201 characters"):
        templates.system_message("x" * 201, "")
