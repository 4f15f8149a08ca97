"""A recording's form in the spellings of many clients: lists, blank fields, JSON with the audio inside."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.unit.gateway.conftest import Gateway
from tests.unit.gateway.transcription.conftest import FakeWhisper
from tests.unit.gateway.transcription.test_transcriptions import FILE, LONG, URL, error_of, post

TRANSLATIONS = "/v1/audio/translations"
AUDIO = base64.b64encode(FILE[1]).decode()


@pytest.mark.parametrize(
    ("fields", "has"),
    [
        ({"timestamp_granularities[]": "word"}, {"words"}),
        ({"timestamp_granularities[]": ["word", "segment"]}, {"words", "segments"}),
        ({"timestamp_granularities": "word"}, {"words"}),
        ({"timestamp_granularities": ["segment", "word"]}, {"words", "segments"}),
        ({"timestamp_granularities[0]": "word"}, {"words"}),
        ({"timestamp_granularities[0]": "segment", "timestamp_granularities[1]": "word"}, {"words", "segments"}),
        ({"timestamp_granularities": "segment", "timestamp_granularities[]": "word"}, {"words", "segments"}),
        ({"timestamp_granularities[]": ["", "word"]}, {"words"}),
        ({"timestamp_granularities[]": ""}, {"segments"}),
        ({}, {"segments"}),
    ],
)
async def test_a_list_has_many_spellings(gateway: Gateway, fields: dict[str, Any], has: set[str]) -> None:
    response = await post(gateway, response_format="verbose_json", **fields)
    assert response.json().keys() & {"words", "segments"} == has
    assert "x-tritone-ignored" not in response.headers


@pytest.mark.parametrize("blank", ["", " "])
@pytest.mark.parametrize("url", [URL, TRANSLATIONS])
async def test_blank_fields_count_as_absent(gateway: Gateway, whisper: FakeWhisper, url: str, blank: str) -> None:
    names = ("language", "prompt", "temperature", "response_format", "stream", "chunking_strategy", "hotwords", "user")
    lists = ("languages[]", "keywords[]", "include[]", "timestamp_granularities[]", "known_speaker_names[]")
    response = await post(gateway, url, **{name: blank for name in (*names, *lists)})
    assert response.json()["text"] == "part 0"
    assert "x-tritone-ignored" not in response.headers
    assert whisper.calls[0].parameters.keys() <= {"priority", "task", "clip"}


async def test_candidates_without_auto_and_blanks_are_taken(gateway: Gateway, whisper: FakeWhisper) -> None:
    fields: dict[str, Any] = {"languages[]": ["", "Auto", "nb-NO", "cmn"], "keywords[]": ["", "Triton"]}
    await post(gateway, **fields)
    assert whisper.calls[0].parameters["language"] == "no,zh"
    assert whisper.calls[0].parameters["hotwords"] == "Triton"


@pytest.mark.parametrize("url", [URL, TRANSLATIONS])
async def test_a_recording_without_a_model_goes_to_the_first(gateway: Gateway, url: str) -> None:
    response = await gateway.http.post(url, files={"file": FILE})
    assert response.headers["x-tritone-model"] == "whisper-base"


async def test_a_reference_of_megabytes_is_read(gateway: Gateway) -> None:
    reference = "data:audio/wav;base64," + "A" * 3_000_000
    fields = {"response_format": "diarized_json", "known_speaker_names[]": "a"}
    response = await post(gateway, **fields, **{"known_speaker_references[]": reference})
    # The part is not refused by its size: what it holds is looked at.
    assert error_of(response)["param"] == "known_speaker_references[]"


@pytest.mark.parametrize("url", [URL, TRANSLATIONS])
async def test_translations_and_transcriptions_are_streamed(gateway: Gateway, whisper: FakeWhisper, url: str) -> None:
    response = await post(gateway, url, file=("long.flac", LONG), stream="true")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.count('"transcript.text.delta"') == 7
    assert response.text.count('"transcript.text.done"') == 1
    assert whisper.calls[0].parameters.get("task", "transcribe") == (
        "translate" if url == TRANSLATIONS else "transcribe"
    )


async def test_a_translation_takes_the_spoken_language(gateway: Gateway, whisper: FakeWhisper) -> None:
    response = await post(gateway, TRANSLATIONS, language="deu", response_format="verbose_json")
    assert whisper.calls[0].parameters["language"] == "de"
    assert (response.json()["language"], response.json()["language_code"]) == ("english", "en")


async def test_verbose_json_has_the_languages_code_beside_its_name(gateway: Gateway) -> None:
    answer = (await post(gateway, response_format="verbose_json")).json()
    assert (answer["language"], answer["language_code"]) == ("german", "de")


@pytest.mark.parametrize(
    "audio",
    [
        {"data": AUDIO, "format": "flac"},
        {"data": AUDIO.rstrip("=")},
        {"data": f"data:audio/flac;base64,{AUDIO}", "format": "wav"},
    ],
    ids=["with format", "alone", "data URL"],
)
async def test_a_recording_may_be_in_json(gateway: Gateway, whisper: FakeWhisper, audio: Any) -> None:
    fields = {"language": "nb", "temperature": 0.5, "prompt": None, "languages": [], "keywords": ["Triton", None, "X"]}
    fields |= {"chunking_strategy": {"type": "server_vad"}, "user": None, "seed": 7, "provider": {"a": [1]}}
    body = {"model": "openai/whisper-base", "input_audio": audio, **fields}
    response = await gateway.http.post(URL, json=body)
    assert response.json()["text"] == "part 0"
    expected = {"language": "no", "temperature": 0.5, "hotwords": "Triton, X", "clip": True, "priority": 1}
    assert whisper.calls[0].parameters == expected
    assert response.headers["x-tritone-ignored"] == "seed, provider"


async def test_json_takes_formats_and_events(gateway: Gateway) -> None:
    body: dict[str, Any] = {"input_audio": {"data": AUDIO}, "timestamp_granularities": ["word"]}
    answer = (await gateway.http.post(URL, json={**body, "response_format": "verbose_json"})).json()
    assert [word["word"] for word in answer["words"]] == ["part", "0"]
    events = await gateway.http.post(TRANSLATIONS, json={"input_audio": {"data": AUDIO}, "stream": True})
    assert events.text.count("data: ") == 2


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b'{"a":' * 10_000, None),
        (b"[]", None),
        (b"{}", "input_audio"),
        (b'{"input_audio": "UklG"}', "input_audio"),
        (b'{"input_audio": {"data": 1}}', "input_audio"),
        (b'{"input_audio": {"data": "*"}}', "input_audio"),
        (b'{"input_audio": {"data": ""}}', "file"),
        (b'{"input_audio": {"data": "UklG"}}', "file"),
        (b'{"input_audio": {"data": "UklG"}, "temperature": "hot"}', "temperature"),
        (b'{"input_audio": {"data": "UklG"}, "temperature": {}}', "temperature"),
        (b'{"input_audio": {"data": "UklG"}, "model": " "}', "model"),
        (b'{"input_audio": {"data": "UklG"}, "languages": [1]}', "languages[]"),
    ],
)
async def test_unusable_json_is_a_400(gateway: Gateway, body: bytes, param: str | None) -> None:
    response = await gateway.http.post(URL, content=body, headers={"content-type": "application/json; charset=utf-8"})
    assert response.status_code == 400
    assert error_of(response)["param"] == param


def form_in(charset: str, prompt: bytes) -> tuple[bytes, str]:
    """Return a form with a prompt, and its content type."""
    name, content = FILE
    head = b"--x\r\nContent-Disposition: form-data; name="
    file = head + b'"file"; filename="%s"\r\n\r\n%s\r\n' % (name.encode(), content)
    body = file + head + b'"prompt"\r\n\r\n%s\r\n--x--\r\n' % prompt
    return body, f"multipart/form-data; boundary=x; charset={charset}"


@pytest.mark.parametrize(
    "charset", ["utf-7", "punycode", "undefined", "idna", "unicode_escape", "utf-16", "none", "a" * 99]
)
async def test_a_form_in_another_charset_is_rejected(gateway: Gateway, charset: str) -> None:
    body, content_type = form_in(charset, b"+2AA- \\ud800")  # half of a surrogate pair, in two of them
    response = await gateway.http.post(URL, content=body, headers={"content-type": content_type})
    assert response.status_code == 415
    assert "charset" in error_of(response)["message"]


@pytest.mark.parametrize("charset", ["utf-8", '"UTF-8"', "us-ascii"])
async def test_a_form_may_name_its_charset(gateway: Gateway, whisper: FakeWhisper, charset: str) -> None:
    body, content_type = form_in(charset, b"Hi")
    response = await gateway.http.post(URL, content=body, headers={"content-type": content_type})
    assert response.status_code == 200
    assert [call.parameters["prompt"] for call in whisper.calls.values()] == ["Hi"]


@pytest.mark.parametrize(
    ("url", "field"),
    [
        (URL, "file"),
        ("/v1/audio/voices", "audio_sample"),
        ("/whisper/transcribe", "file"),
        ("/omni/transcribe", "file"),
    ],
)
async def test_a_text_in_place_of_a_file_is_explained(gateway: Gateway, url: str, field: str) -> None:
    response = await gateway.http.post(url, files={field: (None, "text"), "name": (None, "Ada")})
    assert response.status_code == 400
    assert f"{field}: send it as a file, with a filename" in response.text
