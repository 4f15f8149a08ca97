"""The end of a turn by its text."""

from __future__ import annotations

import pytest

from gateway.openai.realtime.end_of_turn import Eagerness, Ending, ending_of, silence_ms

COMPLETE = [
    ("en", " I would like a coffee, please."),
    ("en", "What are you waiting for?"),
    ("en", "Who is it from?"),
    ("en", 'She said, "It works."'),
    ("de", "Ich hätte gern einen Kaffee."),
    ("de", "Wo ist der Bahnhof?"),
    ("fr", "Je suis arrivé hier soir."),
    ("es", "¿Dónde está la estación?"),
    ("it", "Va bene così."),
    ("pt", "Obrigado pela ajuda."),
    ("ru", "Я приехал вчера."),
    ("ko", "커피 한 잔 주세요"),
    ("ko", "지금 출발합니다."),
    ("ja", "駅はどこですか"),
    ("ja", "昨日着きました。"),
    ("zh", "我昨天到了"),
    ("zh", "车站在哪里？"),
    ("sw", "Nimefika jana."),
    ("", "Fine!"),
]
UNFINISHED = [
    ("en", "We went home, and then I"),
    ("en", "And then I."),
    ("en", "I called him, but"),
    ("en", "The first one is red,"),
    ("en", "Well, um..."),
    ("en", "It is, uh"),
    ("en", "I think it’s, you know"),
    ("de", "Ich wollte das machen, weil"),
    ("de", "Das ist ähm."),
    ("fr", "Je ne viens pas parce que"),
    ("fr", "C'est euh"),
    ("es", "Quería ir, pero"),
    ("it", "Sono andato al mercato e poi"),
    ("pt", "Eu queria sair, mas"),
    ("ru", "Я не пришёл, потому что"),
    ("ko", "어제 집에 갔는데"),
    ("ko", "밥을 먹고 그리고"),
    ("ja", "昨日駅に行ったけど"),
    ("ja", "それは、えっと。"),
    ("zh", "我昨天去了，然后"),
    ("zh", "因为"),
    ("sw", "Nilienda sokoni,"),
]
UNCLEAR = [("en", "the red car"), ("de", "am nächsten Montag"), ("ko", "내일 아침"), ("", "hello"), ("en", "")]


@pytest.mark.parametrize(
    ("language", "text", "ending"),
    [
        (language, text, ending)
        for ending, cases in (
            (Ending.COMPLETE, COMPLETE),
            (Ending.UNFINISHED, UNFINISHED),
            (Ending.UNCLEAR, UNCLEAR),
        )
        for language, text in cases
    ],
)
def test_a_text_is_judged_by_its_end(language: str, text: str, ending: Ending) -> None:
    assert ending_of(text, language) is ending


@pytest.mark.parametrize(("eagerness", "most"), [("low", 8000), ("medium", 4000), ("auto", 4000), ("high", 2000)])
def test_a_speaker_who_sounds_done_gets_less_time_and_nobody_more_than_openais(eagerness: Eagerness, most: int) -> None:
    complete, unclear, unfinished = (silence_ms(eagerness, ending) for ending in Ending)
    assert complete < unclear < unfinished == most == silence_ms(eagerness)


def test_an_eager_session_waits_less() -> None:
    for ending in Ending:
        waits = [silence_ms(eagerness, ending) for eagerness in ("high", "medium", "low")]
        assert waits == sorted(set(waits))
