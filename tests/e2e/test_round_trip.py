"""Speech from Kokoro, transcribed by Whisper, both through the official client and a real server."""

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
"""A prompt. Whisper writes Mandarin in either script; it continues in that of the prompt."""


def transcribe(client: openai.OpenAI, speech: bytes, *, language: str, prompt: str = "") -> str:
    return client.audio.transcriptions.create(
        model="whisper-base", file=("speech.wav", speech), language=language, prompt=prompt
    ).text


def round_trip(client: openai.OpenAI, text: str, *, voice: str, language: str, prompt: str = "") -> str:
    speech = client.audio.speech.create(model="kokoro-82m", voice=voice, input=text, response_format="wav")
    return transcribe(client, speech.content, language=language, prompt=prompt)


@pytest.mark.parametrize("voice", ["alloy", "echo", "nova"])
def test_first_example_of_the_readme_is_heard_as_it_is_written(client: openai.OpenAI, voice: str) -> None:
    text = round_trip(client, "Good morning.", voice=voice, language="en")
    assert word_error_rate(["Good morning."], [text]) == 0, text


def test_ten_english_sentences_have_few_word_errors(client: openai.OpenAI, english: list[bytes]) -> None:
    transcripts = [transcribe(client, speech, language="en") for speech in english]
    assert word_error_rate(ENGLISH, transcripts) <= 0.05, transcripts


# The bounds are the error rates of whisper-base on these sentences, plus one more wrong word.
@pytest.mark.parametrize(
    ("sentences", "voice", "language", "bound"),
    [(SPANISH, "ef_dora", "es", 0.10), (FRENCH, "ff_siwis", "fr", 0.10)],
    ids=["spanish", "french"],
)
def test_sentences_of_other_languages_have_few_word_errors(
    client: openai.OpenAI, sentences: list[str], voice: str, language: str, bound: float
) -> None:
    transcripts = [round_trip(client, text, voice=voice, language=language) for text in sentences]
    assert word_error_rate(sentences, transcripts) <= bound, transcripts


def test_mandarin_sentences_have_few_character_errors(client: openai.OpenAI) -> None:
    transcripts = [round_trip(client, text, voice="zf_xiaoxiao", language="zh", prompt=SIMPLIFIED) for text in MANDARIN]
    assert character_error_rate(MANDARIN, transcripts) <= 0.15, transcripts
