"""Emotions as an instruction in four languages."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.speech.emotion_words import with_emotions
from tritone.emotions import EMOTIONS, to_json


def _words(emotions: Any, instruct: str = "", language: str = "en", text: str = "Hello.") -> str:
    return with_emotions(instruct, to_json(emotions) if emotions else "", language=language, text=text)


@pytest.mark.parametrize(
    ("emotions", "instruct"),
    [
        ({"happiness": 1.0}, "Sound very happy."),
        ({"happiness": 0.5}, "Sound happy."),
        ({"happiness": 0.1}, "Sound slightly happy."),
        ({"sadness": 0.5, "anger": 0.9}, "Sound very angry and sad."),
        ({"sadness": 0.2, "anger": 0.9}, "Sound very angry."),
        ({"sadness": 0.8, "anger": 0.9, "fear": 0.7}, "Sound very angry and very sad."),
        ({"other": 1.0, "surprise": 0.3}, "Sound slightly surprised."),
        ({"other": 1.0}, ""),
    ],
)
def test_the_strongest_emotions_are_named_with_their_strength(emotions: dict[str, float], instruct: str) -> None:
    assert _words(emotions) == instruct


def test_without_emotions_the_instruction_is_the_clients() -> None:
    assert _words(None, "  Slow.  ") == "Slow."


@pytest.mark.parametrize(
    ("language", "text", "instruct"),
    [
        ("zh", "Hello.", "用非常愤怒、略微害怕的语气说。"),
        ("ja", "Hello.", "とても怒った、少し怯えた口調で話してください。"),
        ("ko", "Hello.", "매우 화난, 조금 두려워하는 목소리로 말해 주세요."),
        ("de", "Hallo.", "Sound very angry and slightly afraid."),
        ("auto", "你好。", "用非常愤怒、略微害怕的语气说。"),
        ("auto", "東京へようこそ。", "とても怒った、少し怯えた口調で話してください。"),
        ("auto", "안녕하세요.", "매우 화난, 조금 두려워하는 목소리로 말해 주세요."),
        ("auto", "Hello.", "Sound very angry and slightly afraid."),
    ],
)
def test_the_words_are_in_the_language_of_the_request_or_of_the_text(language: str, text: str, instruct: str) -> None:
    assert _words({"anger": 0.7, "fear": 0.39}, language=language, text=text) == instruct


@pytest.mark.parametrize(
    ("own", "language", "instruct"),
    [
        ("A low voice", "en", "A low voice. Sound sad."),
        ("A low voice!", "en", "A low voice! Sound sad."),
        ("声音低沉", "zh", "声音低沉。用悲伤的语气说。"),
        ("낮은 목소리", "ko", "낮은 목소리. 슬픈 목소리로 말해 주세요."),
    ],
)
def test_the_clients_own_instruction_comes_first(own: str, language: str, instruct: str) -> None:
    assert _words({"sadness": 0.5}, own, language) == instruct


@pytest.mark.parametrize("language", ["en", "zh", "ja", "ko"])
def test_each_emotion_has_words_of_its_own_in_each_language(language: str) -> None:
    named = [name for name in EMOTIONS if name != "other"]
    assert len({_words({name: 0.5}, language=language) for name in named}) == len(named)
    assert len({_words({"anger": weight}, language=language) for weight in (0.2, 0.5, 0.9)}) == 3
