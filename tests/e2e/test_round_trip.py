"""Speech from Kokoro, transcribed by Whisper, both through the official client and a real server."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import openai
import pytest
import soundfile

from tests.e2e.words import ENGLISH, character_error_rate, plain, word_error_rate

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


def test_words_of_speech_are_those_of_its_text_and_are_heard_at_their_times(client: openai.OpenAI) -> None:
    text = "It costs $5 today, and the quick brown fox jumps over the lazy dog."
    asked = {"stream": False, "timestamp_granularities": ["word", "segment"], "subtitle_format": "srt"}
    answer = client.audio.speech.create(
        model="kokoro-82m", voice="alloy", input=text, response_format="pcm", speed=1.5, extra_body=asked
    )
    speech = json.loads(answer.content)
    words = speech["words"]
    assert " ".join(word["word"] for word in words) == text
    assert [segment["text"] for segment in speech["segments"]] == [text]
    times = [moment for word in words for moment in (word["start"], word["end"])]
    assert times == sorted(times)
    assert times[-1] <= speech["duration"]

    samples = np.frombuffer(base64.b64decode(speech["audio"]), "<i2")
    for first, last, beside in ((6, 8, {"the", "jumps"}), (12, 13, {"the", "over"})):
        start, end = (round(moment * speech["sample_rate"]) for moment in (words[first]["start"], words[last]["end"]))
        cut = io.BytesIO()
        soundfile.write(cut, np.pad(samples[start:end], 4800), speech["sample_rate"], format="WAV")
        heard = plain(transcribe(client, cut.getvalue(), language="en"))
        assert plain(" ".join(word["word"] for word in words[first : last + 1])) in heard
        assert not beside & set(heard.split()), heard
