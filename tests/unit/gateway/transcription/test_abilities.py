"""Models that support only some options: other options are reported as ignored, or rejected with a reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.fake_triton import FakeTriton
from tests.unit.gateway.conftest import Gateway
from tests.unit.gateway.transcription.conftest import FakeWhisper
from tests.unit.gateway.transcription.test_transcriptions import LONG, error_of, post
from tritone.contract import LISTEN_RATE
from tritone.descriptions import TranscriptionDescription
from tritone.transcript import Segment, Transcript

PLAIN = TranscriptionDescription(languages=("en", "de"), tasks=("transcribe",), options=())
"""A model that supports no option at all."""


@pytest.fixture
async def plain(gateway: Gateway, triton: FakeTriton, whisper: FakeWhisper) -> Gateway:
    """A gateway whose model is `PLAIN`."""
    whisper.description = PLAIN
    await gateway.follow(triton)
    return gateway


async def test_a_plain_model_gets_no_options(plain: Gateway, whisper: FakeWhisper) -> None:
    response = await post(plain, file=("long.flac", LONG))
    assert response.status_code == 200
    assert "x-tritone-ignored" not in response.headers
    assert [call.parameters for call in whisper.calls.values()] == [{"priority": 1}, *[{"priority": 2}] * 6]


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ({"prompt": "Luís"}, "prompt"),
        ({"language": "de"}, "language"),
        ({"languages[]": ["de", "en"]}, "languages[]"),
        ({"keywords[]": ["Triton"], "hotwords": "Kokoro"}, "keywords[], hotwords"),
        ({"temperature": "0.5"}, "temperature"),
        ({"include[]": ["logprobs"]}, "include[]"),
        ({"condition_on_previous_text": "true"}, "condition_on_previous_text"),
        ({"prompt": "", "temperature": "0", "language": "auto"}, None),
    ],
)
async def test_an_option_that_the_model_lacks_is_reported(
    plain: Gateway, whisper: FakeWhisper, fields: dict[str, Any], ignored: str | None
) -> None:
    response = await post(plain, **fields)
    assert response.status_code == 200
    assert response.headers.get("x-tritone-ignored") == ignored
    assert "logprobs" not in response.json()
    assert whisper.calls[0].parameters == {"priority": 1}


@pytest.mark.parametrize("response_format", ["srt", "vtt"])
async def test_subtitles_come_from_segments_where_the_model_has_no_words(
    plain: Gateway, whisper: FakeWhisper, response_format: str
) -> None:
    whisper.script[0] = Transcript("en", 1.0, (Segment(0.0, 4.0, " One two three four.", ()),))
    response = await post(plain, response_format=response_format)
    assert response.status_code == 200
    assert "x-tritone-ignored" not in response.headers
    assert "One two three four." in response.text
    assert whisper.calls[0].parameters == {"priority": 1}


async def test_windows_are_as_long_as_the_model_takes_them(
    plain: Gateway, whisper: FakeWhisper, triton: FakeTriton
) -> None:
    assert (await post(plain, file=("long.flac", LONG))).status_code == 200
    usual = len(whisper.calls)
    whisper.calls.clear()
    whisper.description = replace(PLAIN, window_seconds=60)
    await plain.follow(triton)
    assert (await post(plain, file=("long.flac", LONG))).status_code == 200
    longest = max(call.inputs["audio"].shape[1] for call in whisper.calls.values()) / LISTEN_RATE
    assert 30 < longest <= 60
    assert len(whisper.calls) < usual


async def test_the_only_language_of_a_model_counts_as_followed(
    gateway: Gateway, triton: FakeTriton, whisper: FakeWhisper
) -> None:
    whisper.description = TranscriptionDescription(languages=("en",), tasks=("transcribe",), options=())
    await gateway.follow(triton)
    response = await post(gateway, language="English")
    assert "x-tritone-ignored" not in response.headers
    assert whisper.calls[0].parameters == {"priority": 1}


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        (
            {"response_format": "diarized_json"},
            "response_format",
            "whisper-base does not support the option word_timestamps",
        ),
        (
            {"response_format": "verbose_json", "timestamp_granularities[]": ["word"]},
            "timestamp_granularities[]",
            "whisper-base does not support the option word_timestamps",
        ),
        ({"language": "ko"}, "language", "whisper-base does not transcribe ko; choose from: en, de"),
        ({"languages[]": ["ko", "de"]}, "languages[]", "whisper-base does not transcribe ko; choose from: en, de"),
    ],
)
async def test_a_request_that_needs_a_missing_ability_is_a_400(
    plain: Gateway, whisper: FakeWhisper, fields: dict[str, Any], param: str, message: str
) -> None:
    response = await post(plain, **fields)
    assert response.status_code == 400
    error = error_of(response)
    assert (error["param"], error["message"]) == (param, f"{param}: {message}")
    assert whisper.calls == {}


async def test_a_translation_by_a_model_without_the_task_is_a_400(plain: Gateway, whisper: FakeWhisper) -> None:
    response = await post(plain, "/v1/audio/translations")
    assert response.status_code == 400
    assert error_of(response)["message"] == "model: whisper-base does not translate; it does: transcribe"
    assert whisper.calls == {}


async def test_a_model_without_a_description_gets_every_option(
    gateway: Gateway, triton: FakeTriton, whisper: FakeWhisper
) -> None:
    triton.overrides["whisper-base"] = {"description": None}
    await gateway.follow(triton)
    assert (await post(gateway, prompt="Luís")).status_code == 200
    assert whisper.calls[0].parameters == {"prompt": "Luís", "priority": 1}
