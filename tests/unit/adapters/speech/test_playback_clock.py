from __future__ import annotations

import math

from adapters.speech.playback_clock import PlaybackClock


def test_buffer_before_the_first_audio_is_minus_infinity() -> None:
    assert PlaybackClock().buffered_seconds(100.0) == -math.inf


def test_buffer_shrinks_from_the_first_audio_on() -> None:
    playback = PlaybackClock()
    playback.sent(2.0, now=100.0)
    playback.sent(1.0, now=101.5)
    assert playback.buffered_seconds(102.0) == 1.0
    assert playback.buffered_seconds(104.0) == -1.0
