from __future__ import annotations

import pytest

from gateway.accept import choose

OFFERS = ["audio/mpeg", "application/json", "audio/wav", "text/event-stream"]


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("", "audio/mpeg"),
        ("*/*", "audio/mpeg"),
        ("audio/*", "audio/mpeg"),
        ("audio/wav", "audio/wav"),
        ("Audio/X-WAV", "audio/wav"),
        ("application/json, audio/wav", "application/json"),
        ("application/json;q=0.5, audio/wav", "audio/wav"),
        ("application/json; charset=utf-8, */*", "application/json"),
        ("*/*, application/json", "audio/mpeg"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "audio/mpeg"),
        ("audio/mpeg;q=0, audio/*", "audio/wav"),
        ("audio/wav;q=high", "audio/wav"),
        ("audio/flac", None),
        ("audio/*;q=0", None),
        (",;q=1,", "audio/mpeg"),
    ],
)
def test_the_preferred_offer_is_chosen(header: str, chosen: str | None) -> None:
    assert choose(header, OFFERS) == chosen
