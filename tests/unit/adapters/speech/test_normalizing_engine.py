"""The engine that writes texts out for another one."""

from __future__ import annotations

import pytest

from adapters.speech.normalizing_engine import NormalizingEngine
from adapters.triton.metrics import Metrics
from adapters.triton.response_stream import ResponseStream
from adapters.triton.speech_request import SpeechRequest
from tests.unit.adapters.stand_in import pb_utils
from tritone.contract import SpeechDescription

DESCRIPTION = SpeechDescription(voices=(), languages=("en", "zh", "ko"), default_voice="", speed_range=(1.0, 1.0))


class RecordingEngine:
    """Keep the requests."""

    description = DESCRIPTION

    def __init__(self) -> None:
        self.requests: list[SpeechRequest] = []
        self.closed = False

    def submit(self, request: SpeechRequest, stream: ResponseStream) -> None:
        self.requests.append(request)

    def close(self) -> None:
        self.closed = True


def passed_on(text: str, language: str, default: str = "auto") -> str:
    """Return the text that the inner engine gets."""
    inner = RecordingEngine()
    engine = NormalizingEngine(inner, default_language=default)
    metrics = Metrics("test-voice", "speech")
    stream = ResponseStream(pb_utils.ResponseSender(), metrics)
    engine.submit(SpeechRequest(text=text, voice="", language=language, speed=1.0), stream)
    engine.close()
    metrics.close()
    assert inner.closed
    assert engine.description is DESCRIPTION
    return inner.requests[0].text


@pytest.mark.parametrize(
    ("text", "language", "written_out"),
    [
        ("It costs $5.50 — “really”!", "en", "It costs 5 dollars and 50 cents — “really”!"),
        ("会议在2024-05-03，8:30开始。", "zh", "会议在二零二四年五月三日，八点三十分开始。"),
        ("¿Cuesta 3,50 €?", "es", "¿Cuesta 3 euros con 50?"),
    ],
)
def test_text_gets_words_for_its_signs_and_keeps_its_marks(text: str, language: str, written_out: str) -> None:
    assert passed_on(text, language) == written_out


@pytest.mark.parametrize("language", ["auto", "ko", "ja", "de"])
def test_text_in_a_language_without_rules_is_unchanged(language: str) -> None:
    text = " It costs $5.50 — [see](x)\n\nhere "
    assert passed_on(text, language) == text


def test_default_language_decides_the_rules_of_requests_without_one() -> None:
    assert passed_on("It costs $5.", "auto", default="en") == "It costs 5 dollars."
    assert passed_on("$5", "ko", default="en") == "$5"


def test_text_without_words_is_unchanged() -> None:
    assert passed_on("<br/>", "en") == "<br/>"
