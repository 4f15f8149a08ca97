# ruff: noqa: RUF001  (phonemes look like Latin letters)
"""SSML: what becomes a pause, a voice or text, and what is wrong."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.speech_tags import TAGS
from gateway.core.ssml import is_ssml, tagged
from tests.fake_triton import FakeTriton
from tests.unit.gateway.conftest import FakeSpeech, Gateway
from tests.unit.gateway.test_speech_stream import texts_of
from tests.unit.gateway.test_tagged_speech import SPEECH, pcm, silence, voices_of
from tritone.errors import InvalidInput
from tritone.pronunciation import pronounce


def text_of(body: str, voice: str = "x") -> str:
    return tagged(f"<speak>{body}</speak>", TAGS, voice, pronounces=True).text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("Hello.", "Hello."),
        ("Tom &amp; Jerry,\n  &lt;friends&gt;", "Tom & Jerry, <friends>"),
        ("One.<break time='500ms'/>Two.", "One. [pause 500ms] Two."),
        ("One.<break time='+1.5s'/>Two.", "One. [pause 1500ms] Two."),
        ("One.<break/>Two.", "One. [pause 500ms] Two."),
        ("One.<break strength='x-strong'/>Two.<break strength='none'/>", "One. [pause 1500ms] Two."),
        ("<p><s>One</s><s>Two</s></p>Three", "One\nTwo\nThree"),
        ("The <sub alias='World Wide Web'>WWW</sub>.", "The World Wide Web."),
        ("<say-as interpret-as='characters'>AB 1</say-as>", "A, B, 1"),
        ("<say-as interpret-as='date'>2026-05-03</say-as>", "2026-05-03"),
        ("<emphasis>Very</emphasis> well", "Very well"),
        ("<say-as interpret-as='digits'>42</say-as>", "4, 2"),
        ("<prosody rate='slow'>Very</prosody> well", "[prosody 0.75 1] Very [prosody 1 1] well"),
        ("<prosody rate='+20%' volume='-6dB'>x</prosody>", "[prosody 1.2 0.501187] x [prosody 1 1]"),
        (
            "<prosody rate='50%'>1 <prosody rate='1.5' volume='soft'>2</prosody> 3</prosody>",
            "[prosody 0.5 1] 1 [prosody 0.75 0.5] 2 [prosody 0.5 1] 3 [prosody 1 1]",
        ),
        ("Say [prosody 2 2].", r"Say \[prosody 2 2]."),
        ("A <phoneme alphabet='ipa' ph='dʒɪf'>gif</phoneme>.", f"A {pronounce('gif', 'dʒɪf')}."),
        ("<audio src='x.wav'>Ding<desc>A bell</desc></audio>", "Ding"),
        ("<voice name='bf_emma'>Hi.</voice> Bye.", "[voice:bf_emma] Hi. [voice:x] Bye."),
        (
            "<voice name='a'>1 <voice name='b'>2</voice> 3</voice>",
            "[voice:a] 1 [voice:b] 2 [voice:a] 3 [voice:x]",
        ),
        ("Say [pause 1s] and [voice:x].", r"Say \[pause 1s] and \[voice:x]."),
    ],
)
def test_elements_become_tags_and_text(body: str, text: str) -> None:
    assert text_of(body) == text


@pytest.mark.parametrize("document", ["<speak>", " <speak version='1.1'>", "<?xml version='1.0'?>\n<speak>"])
def test_a_text_that_begins_with_speak_is_ssml(document: str) -> None:
    assert is_ssml(document)
    assert not is_ssml(f"Hello {document}")
    assert not is_ssml(document.replace("speak", "speaker"))


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("<speak>One", "it is no valid SSML: no element found: line 1"),
        ("<speak>\ud800</speak", "it is no valid SSML"),
        ("<speak>One & two</speak>", "it is no valid SSML: not well-formed"),
        ("<speak>\n<break time='soon'/></speak>", "SSML, line 2: the time 'soon' of a break"),
        ("<speak><break time='11s'/></speak>", "a break of 11000 ms is too long; at most 10 s"),
        ("<speak><break strength='huge'/></speak>", "the strength 'huge' is unknown"),
        ("<speak><voice name='a]b'>x</voice></speak>", "'a]b' is no name of a voice"),
        ("<speak><prosody rate='quick'>x</prosody></speak>", "the rate 'quick' is unknown"),
        ("<speak><prosody rate='+6dB'>x</prosody></speak>", "the rate '+6dB' is unknown"),
        ("<speak><prosody rate='500%'>x</prosody></speak>", "a rate of 5 times the voice's; 0.25 to 4 are possible"),
        ("<speak><prosody volume='+40dB'>x</prosody></speak>", "a volume of 100 times the voice's; at most 10"),
        ("<speak><phoneme alphabet='x-sampa' ph='a'>x</phoneme></speak>", "the alphabet 'x-sampa'"),
        ("<speak><phoneme>x</phoneme></speak>", "a phoneme needs `ph`"),
        ("<?xml version='1.0'?><!DOCTYPE speak [<!ENTITY a 'b'>]><speak>&a;</speak>", "a document type is not allowed"),
    ],
)
def test_wrong_ssml_is_told_with_its_place(document: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        tagged(document, TAGS, "af_heart", pronounces=True)
    assert caught.value.field == "text"
    assert problem in caught.value.problem


@given(st.text(max_size=80))
def test_any_text_is_read_or_rejected(body: str) -> None:
    with suppress(InvalidInput):
        assert isinstance(text_of(body), str)


async def test_ssml_is_spoken_with_exact_breaks(gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech) -> None:
    spoken = np.concatenate(kokoro.chunks)
    audio = await pcm(gateway, "<speak>One.<break time='1.5s'/>Two.</speak>")
    assert np.array_equal(audio, np.concatenate([spoken, silence(1.5), spoken]))
    assert texts_of(triton) == ["One.", "Two."]


async def test_voices_change_only_where_the_client_allows_it(gateway: Gateway, triton: FakeTriton) -> None:
    text = "<speak>One. <voice name='af_bella'>Two.</voice> Three.</speak>"
    await pcm(gateway, text, voice="af_heart")
    assert voices_of(triton) == ["af_heart"]
    triton.calls.clear()
    await pcm(gateway, text, voice="af_heart", allow_voice_tags=True)
    assert voices_of(triton) == ["af_heart", "af_bella", "af_heart"]


async def test_prosody_is_the_speed_and_the_volume_of_its_words(
    gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech
) -> None:
    text = "<speak>One. <prosody rate='110%' volume='soft'>Two.</prosody> Three.</speak>"
    audio = await pcm(gateway, text)
    spoken = np.concatenate(kokoro.chunks)
    assert np.array_equal(audio[: len(spoken)], spoken)
    assert np.array_equal(audio[-len(spoken) :], spoken)
    quiet = audio[len(spoken) : -len(spoken)]
    assert np.abs(quiet).max() == pytest.approx(np.abs(spoken).max() / 2, rel=0.02)
    assert texts_of(triton) == ["One.", "Two.", "Three."]
    assert [call.parameters.get("speed", 1) for call in triton.calls] == [1, 1.1, 1]


async def test_what_a_model_cannot_follow_is_named(gateway: Gateway) -> None:
    text = "<speak>A <phoneme ph='dʒɪf'>gif</phoneme> <prosody pitch='high'>now</prosody>.</speak>"
    response = await gateway.http.post(SPEECH, json={"model": "kokoro-82m", "input": text})
    assert (response.status_code, response.headers["x-tritone-ignored"]) == (200, "phoneme, prosody.pitch")


async def test_a_model_that_pronounces_gets_the_ipa(gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech) -> None:
    kokoro.description = replace(kokoro.description, pronounces=True)
    await gateway.follow(triton)
    await pcm(gateway, "<speak>A <phoneme ph='dʒɪf'>gif</phoneme>, <break/> yes.</speak>")
    assert texts_of(triton)[0] == f"A {pronounce('gif', 'dʒɪf')},"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": "<speak>One"}, "input"),
        ({"input": "<speak></speak>"}, "input"),
        ({"input": "<speak><voice name='af_bella'>Hi.</voice></speak>", "allow_voice_tags": True}, "voice"),
    ],
)
async def test_the_field_of_wrong_ssml_is_named(gateway: Gateway, fields: dict[str, Any], param: str) -> None:
    response = await gateway.http.post(SPEECH, json={"model": "kokoro-82m", **fields})
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)
