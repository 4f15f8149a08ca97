"""When a turn of the user is answered, beside responses out of the conversation."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from gateway.openai.conversation import answers as module
from gateway.openai.conversation.answers import Answers
from gateway.openai.conversation.config import ConversationConfig, ResponseChanges, ResponseOptions
from gateway.openai.conversation.history import History


class StandIn:
    """A response that ends when it is told to."""

    made: list[StandIn]
    seconds = 0.0

    def __init__(self, _services: object, options: ResponseOptions, *_: object, entries: object) -> None:
        self.options = options
        self.end = asyncio.Event()
        self.made.append(self)

    async def run(self) -> None:
        await self.end.wait()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[StandIn]:
    made: list[StandIn] = []
    monkeypatch.setattr(StandIn, "made", made, raising=False)
    monkeypatch.setattr(module, "Response", StandIn)
    return made


async def test_a_turn_is_answered_once_one_of_too_many_responses_ends(made: list[StandIn]) -> None:
    nothing = cast("Any", None)
    answers = Answers(nothing, ConversationConfig.new("sess", 0, "gpt-realtime"), History(), nothing, nothing)
    for _ in range(4):
        answers.create(ResponseChanges(conversation="none"))
    answers.user_stopped()
    answers.turn_transcribed(answer=True)
    assert len(made) == 4
    made[0].end.set()
    for _ in range(3):
        await asyncio.sleep(0)
    assert [each.options.in_conversation for each in made[4:]] == [True]
    await answers.close()
