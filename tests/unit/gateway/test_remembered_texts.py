"""The memory of what was heard and said."""

from __future__ import annotations

from gateway.core.remembered_texts import RememberedText, RememberedTexts


def test_a_text_is_kept_for_an_hour() -> None:
    now = 1000.0
    texts = RememberedTexts(lambda: now)
    assert texts.add("me", "audio_1", RememberedText("Good morning.")) == 4600
    now = 4599.0
    assert texts.get("me", "audio_1") == RememberedText("Good morning.")
    assert texts.get("you", "audio_1") is None
    now = 4600.0
    assert texts.get("me", "audio_1") is None


def test_a_client_has_at_most_a_thousand_texts() -> None:
    texts = RememberedTexts()
    for number in range(1001):
        texts.add("me", str(number), RememberedText("Yes."))
    texts.add("you", "0", RememberedText("No."))
    assert texts.get("me", "0") is None
    assert texts.get("me", "1") == RememberedText("Yes.")
    assert texts.get("you", "0") == RememberedText("No.")


def test_the_oldest_of_long_texts_are_forgotten_first() -> None:
    texts = RememberedTexts()
    half = RememberedText("a" * 2 * 2**20)
    for key in ("first", "second", "second", "third"):
        texts.add("me", key, half)
    assert texts.get("me", "first") is None
    assert texts.get("me", "second") == texts.get("me", "third") == half
