"""OpenAI's further fields of a transcription, by the official client, and the two that are not OpenAI's."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.unit.gateway.conftest import Gateway
from tests.unit.gateway.recordings import RATE, encoded, parts
from tests.unit.gateway.transcription.conftest import FakeWhisper, segment
from tests.unit.gateway.transcription.test_transcriptions import FILE, LONG, error_of, post
from tritone.transcript import Transcript

_TOKENS = (b" p", "é".encode()[:1], "é".encode()[1:], b"")
SURE = replace(segment(" pé"), tokens=(1, 2, 3, 50364), token_texts=_TOKENS, token_logprobs=(-0.1, -0.2, -0.3, -9.0))


async def test_logprobs_have_each_token_and_its_bytes(gateway: Gateway, whisper: FakeWhisper) -> None:
    whisper.script[0] = Transcript("fr", 0.9, (SURE,))
    answer = await gateway.openai.audio.transcriptions.create(model="whisper-1", file=FILE, include=["logprobs"])
    assert whisper.calls[0].parameters["logprobs"]
    assert answer.logprobs is not None
    assert [logprob.token for logprob in answer.logprobs] == [" p", *["\N{REPLACEMENT CHARACTER}"] * 2]
    assert b"".join(bytes(map(int, logprob.bytes or ())) for logprob in answer.logprobs).decode() == " pé"
    assert [logprob.logprob for logprob in answer.logprobs] == pytest.approx([-0.1, -0.2, -0.3])


async def test_events_carry_the_logprobs_of_their_text(gateway: Gateway, whisper: FakeWhisper) -> None:
    whisper.script[0] = Transcript("fr", 0.9, (SURE, replace(SURE, token_logprobs=(-1.0,) * 4)))
    stream = await gateway.openai.audio.transcriptions.create(
        model="whisper-1", file=FILE, include=["logprobs"], stream=True
    )
    first, second, done = [event async for event in stream]
    assert first.type == second.type == "transcript.text.delta"
    assert [p.logprob for p in first.logprobs or ()] == pytest.approx([-0.1, -0.2, -0.3])
    assert [p.logprob for p in second.logprobs or ()] == [-1.0] * 3
    assert done.type == "transcript.text.done"
    assert [p.logprob for p in done.logprobs or ()] == pytest.approx([-0.1, -0.2, -0.3, *[-1.0] * 3])


async def test_logprobs_are_absent_without_a_request_for_them(gateway: Gateway, whisper: FakeWhisper) -> None:
    answer = await gateway.openai.audio.transcriptions.create(model="whisper-1", file=FILE)
    assert answer.logprobs is None
    assert "logprobs" not in whisper.calls[0].parameters


async def test_the_spoken_languages_are_listed(gateway: Gateway, whisper: FakeWhisper) -> None:
    answer = await gateway.openai.audio.transcriptions.create(model="whisper-1", file=FILE)
    assert [language.code for language in answer.languages or ()] == ["de"]
    silence = encoded(np.zeros(RATE, np.float32), "flac", "flac")
    assert (await post(gateway, file=("silence.flac", silence))).json()["languages"] == []


async def test_the_language_is_one_of_the_candidates(gateway: Gateway, whisper: FakeWhisper) -> None:
    whisper.script[0] = Transcript("ko", 0.9, (segment(" part 0"),))
    await gateway.openai.audio.transcriptions.create(
        model="whisper-1", file=("long.flac", LONG), languages=["Korean", "de-AT", "ko"]
    )
    assert whisper.calls[0].parameters["language"] == "ko,de"
    assert whisper.calls[1].parameters["language"] == "ko"


async def test_keywords_are_words_to_expect(gateway: Gateway, whisper: FakeWhisper) -> None:
    await gateway.openai.audio.transcriptions.create(
        model="whisper-1", file=FILE, keywords=["Triton", " Kokoro "], extra_body={"hotwords": "Silero"}
    )
    assert whisper.calls[0].parameters["hotwords"] == "Triton, Kokoro, Silero"


async def test_a_window_is_transcribed_with_the_text_before_it_on_request(
    gateway: Gateway, whisper: FakeWhisper
) -> None:
    whisper.script[2] = Transcript("de", 0.9, (replace(segment(" unsure"), temperature=0.8),))
    fields = {"prompt": "Names.", "condition_on_previous_text": "true", "language": "de"}
    await post(gateway, file=("long.flac", LONG), **fields)
    prompts = [whisper.calls[n].parameters["prompt"] for n in range(5)]
    assert prompts == [
        "Names.",
        "Names. part 0",
        "Names. part 0 part 1",
        "Names.",
        "Names. part 3",
    ]
    assert whisper.most_at_once == 1


@pytest.mark.parametrize("threshold", [0.5, 0.02])
@pytest.mark.parametrize("as_json", [False, True])
async def test_the_chunking_strategy_sets_the_detectors_threshold(
    gateway: Gateway, whisper: FakeWhisper, quiet: None, threshold: float, as_json: bool
) -> None:
    strategy: Any = {"type": "server_vad", "threshold": threshold, "prefix_padding_ms": 1000}
    file = ("late.flac", encoded(np.concatenate([np.zeros(5 * RATE, np.float32), parts(1)]), "flac", "flac"))
    if as_json:
        await post(gateway, file=file, chunking_strategy=json.dumps(strategy))
    else:
        await gateway.openai.audio.transcriptions.create(model="whisper-1", file=file, chunking_strategy=strategy)
    assert len(whisper.calls) == (threshold < 0.5)
    if whisper.calls:
        # The tone of 20 s, a second before it, and 0.4 s behind.
        assert whisper.calls[0].inputs["audio"].shape[1] / RATE == pytest.approx(21.4, abs=0.1)


async def test_auto_is_a_chunking_strategy(gateway: Gateway) -> None:
    answer = await gateway.openai.audio.transcriptions.create(model="whisper-1", file=FILE, chunking_strategy="auto")
    assert answer.text == "part 0"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"languages[]": ["klingon"]}, "languages[]"),
        ({"languages": "klingon"}, "languages"),
        ({"languages[1]": "klingon"}, "languages[]"),
        ({"languages[]": ["de"], "language": "de"}, "languages[]"),
        ({"keywords[]": ["x" * 1000]}, "keywords[]"),
        ({"keywords[]": ["x"] * 300}, "keywords[]"),
        ({"include[]": ["wishes"]}, "include[]"),
        ({"include[]": ["logprobs"], "response_format": "text"}, "include[]"),
        ({"chunking_strategy": "sometimes"}, "chunking_strategy"),
        ({"chunking_strategy": "{"}, "chunking_strategy"),
        ({"chunking_strategy": '{"type":' * 10_000}, "chunking_strategy"),
        ({"chunking_strategy": '{"type": "client_vad"}'}, "chunking_strategy"),
        ({"chunking_strategy[type]": "server_vad", "chunking_strategy[threshold]": "2"}, "chunking_strategy"),
        ({"chunking_strategy[type]": "server_vad", "chunking_strategy[prefix_padding_ms]": "-1"}, "chunking_strategy"),
        ({"condition_on_previous_text": "perhaps"}, "condition_on_previous_text"),
    ],
)
async def test_a_wrong_field_is_named(
    gateway: Gateway, whisper: FakeWhisper, fields: dict[str, Any], param: str
) -> None:
    response = await post(gateway, **fields)
    assert response.status_code == 400
    error = error_of(response)
    assert error["param"] == param
    assert error["message"].startswith(param)
    assert whisper.calls == {}
