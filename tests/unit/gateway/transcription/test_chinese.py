"""The fields `s2t`, `enable_s2t` and `t2s`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.unit.gateway.conftest import Gateway, Serve
from tests.unit.gateway.recordings import encoded, parts
from tests.unit.gateway.transcription.conftest import FakeWhisper, segment
from tritone.transcript import Transcript

FILE = ("speech.flac", encoded(parts(2), "flac", "flac"))
SIMPLIFIED, TRADITIONAL, TAIWAN = "软件里的头发", "軟件裏的頭髮", "軟體裡的頭髮"


@pytest.fixture(autouse=True)
def chinese(whisper: FakeWhisper) -> None:
    """The model writes Chinese."""
    whisper.script = {n: Transcript("zh", 0.9, (segment(SIMPLIFIED),)) for n in range(2)}


async def post(gateway: Gateway, **fields: Any) -> httpx.Response:
    data = {"model": "whisper-1", **fields}
    return await gateway.http.post("/v1/audio/transcriptions", data=data, files={"file": FILE})


@pytest.mark.parametrize("field", ["s2t", "enable_s2t"])
@pytest.mark.parametrize("value", ["true", "True", "1"])
async def test_text_is_written_in_traditional_characters(gateway: Gateway, field: str, value: str) -> None:
    response = await post(gateway, **{field: value})
    assert response.json()["text"] == 2 * TRADITIONAL
    assert "x-tritone-ignored" not in response.headers


async def test_text_is_written_in_simplified_characters(gateway: Gateway, whisper: FakeWhisper) -> None:
    whisper.script = {n: Transcript("zh", 0.9, (segment(TRADITIONAL),)) for n in range(2)}
    assert (await post(gateway, t2s="true")).json()["text"] == 2 * SIMPLIFIED


@pytest.mark.parametrize("fields", [{}, {"s2t": "false"}, {"t2s": "false", "enable_s2t": ""}])
async def test_text_stays_as_the_model_wrote_it(gateway: Gateway, fields: dict[str, str]) -> None:
    assert (await post(gateway, **fields)).json()["text"] == 2 * SIMPLIFIED


async def test_words_segments_and_subtitles_are_converted(gateway: Gateway) -> None:
    fields = {"timestamp_granularities[]": ["word", "segment"], "response_format": "verbose_json"}
    plain = (await post(gateway, **fields)).json()
    found = (await post(gateway, **fields, s2t="true")).json()
    assert [one["text"] for one in found["segments"]] == 2 * [TRADITIONAL]
    assert [(one["start"], one["end"]) for one in found["words"]] == [(w["start"], w["end"]) for w in plain["words"]]
    assert "".join(one["word"] for one in found["words"]) == 2 * TRADITIONAL
    assert TRADITIONAL in (await post(gateway, s2t="true", response_format="srt")).text


async def test_stream_is_converted(gateway: Gateway) -> None:
    response = await post(gateway, s2t="true", stream="true")
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]
    assert "".join(event.get("delta", "") for event in events) == events[-1]["text"] == 2 * TRADITIONAL


async def test_setting_chooses_the_conversion(serve: Serve) -> None:
    async with serve(s2t_config="s2twp") as gateway:
        assert (await post(gateway, s2t="true")).json()["text"] == 2 * TAIWAN


@pytest.mark.parametrize(
    ("fields", "param", "problem"),
    [
        ({"s2t": "maybe"}, "s2t", "valid boolean"),
        ({"enable_s2t": "s2twp"}, "enable_s2t", "valid boolean"),
        ({"s2t": "true", "t2s": "true"}, "t2s", "send either `s2t` or this"),
    ],
)
async def test_bad_value_is_rejected_with_its_field(
    gateway: Gateway, fields: dict[str, str], param: str, problem: str
) -> None:
    response = await post(gateway, **fields)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert problem in response.json()["error"]["message"]


async def test_other_languages_stay_as_they_are(gateway: Gateway, whisper: FakeWhisper) -> None:
    whisper.script = {n: replace(one, language="ja") for n, one in whisper.script.items()}
    assert (await post(gateway, s2t="true")).json()["text"] == 2 * SIMPLIFIED
