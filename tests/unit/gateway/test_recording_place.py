"""The places of recordings at their models."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

import numpy as np
import pytest

from gateway.core.admission import Admission, Work
from gateway.core.errors import ModelUnavailable
from gateway.core.recording_place import RecordingPlace
from tests.unit.gateway.conftest import Gateway
from tritone.transcribe_windows import WindowTranscript, transcribe_windows
from tritone.transcript import Transcript
from tritone.windowing import Window


class FullAdmission(Admission):
    """A model that nobody can get a place at in time."""

    def __init__(self) -> None:
        super().__init__(30.0, 600.0, 0.5)

    async def admit(self, model: str, caller: str, seconds: float = 0.0) -> Work:
        raise ModelUnavailable(f"{model} has too much to do")


async def windows(count: int) -> AsyncGenerator[Window]:
    for i in range(count):
        yield Window(i, np.ones(1, np.float32))


async def transcribed(gateway: Gateway, count: int) -> list[WindowTranscript]:
    """Return the transcripts of a recording with `count` windows of speech, at a model that is full."""

    async def transcribe(window: Window, language: str, background: bool) -> Transcript:
        return Transcript("en", 1.0, ())

    place = RecordingPlace(replace(gateway.services, admission=FullAdmission()), "caller", "whisper-base")
    return [each async for each in place.kept(transcribe_windows(windows(count), place.before(transcribe), "en"))]


async def test_recording_without_speech_needs_no_place(gateway: Gateway) -> None:
    assert await transcribed(gateway, 0) == []


async def test_recording_with_speech_is_refused_where_there_is_no_place(gateway: Gateway) -> None:
    with pytest.raises(ModelUnavailable, match="too much to do"):
        await transcribed(gateway, 3)
