"""Real words out and in again: Kokoro speaks, Whisper hears, both through the official client and the real server."""

from __future__ import annotations

import openai
import pytest

from tests.e2e.words import ENGLISH, character_error_rate, word_error_rate

SPANISH = [
    "Buenos días, me gustaría reservar una mesa para cuatro personas.",
    "El tren de Madrid llega mañana a las nueve de la mañana.",
    "Mi hermana trabaja en un hospital cerca de la playa.",
]
FRENCH = [
    "Bonjour, je voudrais acheter deux billets pour Paris.",
    "Le petit garçon joue dans le jardin avec son chien.",
    "Nous avons passé de très bonnes vacances à la montagne.",
]
MANDARIN = ["今天天气很好，我们去公园散步。", "请问火车站怎么走？", "我喜欢喝茶，也喜欢看书。"]


SIMPLIFIED = "以下是普通话的句子。"
"""A prompt: Whisper writes Mandarin in either script, and takes the one that it has before it."""


def transcribe(client: openai.OpenAI, speech: bytes, *, language: str, prompt: str = "") -> str:
    return client.audio.transcriptions.create(
        model="whisper-base", file=("speech.wav", speech), language=language, prompt=prompt
    ).text


def say_and_hear(client: openai.OpenAI, text: str, *, voice: str, language: str, prompt: str = "") -> str:
    spoken = client.audio.speech.create(model="kokoro-82m", voice=voice, input=text, response_format="wav")
    return transcribe(client, spoken.content, language=language, prompt=prompt)


def test_ten_english_sentences_are_heard_as_they_were_written(client: openai.OpenAI, english: list[bytes]) -> None:
    heard = [transcribe(client, speech, language="en") for speech in english]
    assert word_error_rate(ENGLISH, heard) <= 0.05, heard


# The bounds are what whisper-base makes of these sentences, with room for one more wrong word.
@pytest.mark.parametrize(
    ("sentences", "voice", "language", "bound"),
    [(SPANISH, "ef_dora", "es", 0.10), (FRENCH, "ff_siwis", "fr", 0.10)],
    ids=["spanish", "french"],
)
def test_other_languages_are_heard_within_a_bound(
    client: openai.OpenAI, sentences: list[str], voice: str, language: str, bound: float
) -> None:
    heard = [say_and_hear(client, text, voice=voice, language=language) for text in sentences]
    assert word_error_rate(sentences, heard) <= bound, heard


def test_mandarin_is_heard_within_a_bound(client: openai.OpenAI) -> None:
    heard = [say_and_hear(client, text, voice="zf_xiaoxiao", language="zh", prompt=SIMPLIFIED) for text in MANDARIN]
    assert character_error_rate(MANDARIN, heard) <= 0.15, heard
