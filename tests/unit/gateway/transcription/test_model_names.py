"""Every model name that OpenAI's SDK knows for audio is served."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import pytest
from openai.types import AudioModel
from openai.types.audio import SpeechModel
from openai.types.realtime import AudioTranscription

from tests.unit.gateway.conftest import Gateway
from tests.unit.gateway.recordings import encoded, parts
from tests.unit.gateway.transcription.conftest import FakeWhisper

FILE = ("speech.flac", encoded(parts(1), "flac", "flac"))


def literals(type_: Any) -> Iterator[str]:
    """Yield the strings of every `Literal` inside a type."""
    for inner in get_args(type_):
        if get_origin(type_) is Literal:
            yield inner
        else:
            yield from literals(inner)


SPEECH = sorted({*literals(SpeechModel), "tts-1-1106", "tts-1-hd-1106"})
TRANSCRIPTION = sorted({*literals(AudioModel), *literals(AudioTranscription.model_fields["model"].annotation)})


def test_the_sdk_names_models_of_both_kinds() -> None:
    assert {"tts-1", "gpt-4o-mini-tts"} <= set(SPEECH)
    assert {"whisper-1", "gpt-4o-transcribe", "gpt-realtime-whisper"} <= set(TRANSCRIPTION)


@pytest.mark.parametrize("name", SPEECH)
async def test_each_speech_model_of_the_sdk_speaks(gateway: Gateway, name: str) -> None:
    answer = await gateway.openai.audio.speech.with_raw_response.create(model=name, voice="alloy", input="Hello.")
    assert answer.headers["x-tritone-model"] == "kokoro-82m"


@pytest.mark.parametrize("name", TRANSCRIPTION)
async def test_each_transcription_model_of_the_sdk_transcribes(
    gateway: Gateway, whisper: FakeWhisper, name: str
) -> None:
    answer = await gateway.openai.audio.transcriptions.create(model=name, file=FILE)
    assert answer.text == "part 0"
