"""What was heard of spoken text, and the pace at which it is sent."""

from __future__ import annotations

import pytest

from gateway.openai.conversation.pacer import AHEAD_SECONDS, Pacer
from gateway.openai.conversation.spoken import SpokenText
from tritone.contract import SPEECH_RATE


def spoken(*clauses: tuple[str, float], complete: bool = True) -> SpokenText:
    text = SpokenText()
    for clause, seconds in clauses:
        text.begin(clause)
        text.add(round(seconds * SPEECH_RATE))
        if complete:
            text.end()
    return text


@pytest.mark.parametrize(
    ("milliseconds", "heard"),
    [
        (0, ""),
        (999, "Good"),
        (1000, "Good morning."),
        (1600, "Good morning. The train"),
        (3000, "Good morning. The train leaves."),
        (9000, "Good morning. The train leaves."),
    ],
)
def test_a_word_is_heard_if_its_end_was_played(milliseconds: int, heard: str) -> None:
    text = spoken(("Good morning.", 1.0), ("The train leaves.", 1.0))
    assert text.heard(milliseconds) == heard


def test_texts_without_spaces_are_cut_at_characters() -> None:
    text = spoken(("你好吗？", 1.0), ("火车走了。", 1.0))
    assert text.text == "你好吗？火车走了。"
    assert text.heard(1400) == "你好吗？火车"


def test_a_clause_whose_audio_is_not_complete_has_a_probable_length() -> None:
    text = spoken(("a" * 29 + " " + "b" * 30, 1.0), complete=False)  # 60 characters: about 4 s
    assert text.heard(1000) == ""
    assert text.heard(2500) == "a" * 29


async def test_audio_is_sent_at_most_some_seconds_ahead_of_its_playback() -> None:
    now = 100.0
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal now
        waits.append(seconds)
        now += seconds

    pacer = Pacer(lambda: now, sleep)
    assert pacer.played == 0
    for _ in range(15):
        await pacer.send(1.0)
    assert sum(waits) == pytest.approx(14 - AHEAD_SECONDS)
    assert pacer.played == pytest.approx(14 - AHEAD_SECONDS)
    assert pacer.playing
    now += 100
    assert pacer.played == 15
    assert not pacer.playing
