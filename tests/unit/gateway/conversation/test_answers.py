"""When a turn of the user is answered, beside responses out of the conversation."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import numpy as np
import pytest

from gateway.errors import BadRequest
from gateway.openai.conversation import answers as module
from gateway.openai.conversation.answers import Answers
from gateway.openai.conversation.config import ConversationConfig, ResponseChanges, ResponseOptions
from gateway.openai.conversation.history import MOST_ITEMS, Entry, History
from gateway.openai.conversation.items import item_of
from gateway.openai.conversation.turns import Turns
from gateway.openai.realtime.protocol import Event, event


class StandIn:
    """A response that ends when it is told to."""

    made: list[StandIn]
    id = "resp_1"
    seconds = 0.0
    playing = False

    def __init__(self, _services: object, options: ResponseOptions, *_: object, **_options: object) -> None:
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


def answers_for(history: History) -> Answers:
    nothing = cast("Any", None)
    config = ConversationConfig.new("sess", 0, "gpt-realtime")
    return Answers(nothing, config, history, nothing, nothing, new_playback=nothing)


async def ignore(_event: Event) -> None:
    pass


async def test_a_turn_is_answered_once_one_of_too_many_responses_ends(made: list[StandIn]) -> None:
    answers = answers_for(History())
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


async def test_a_session_has_four_responses_at_once_and_one_in_its_conversation(made: list[StandIn]) -> None:
    answers = answers_for(History())
    answers.create(ResponseChanges())
    with pytest.raises(BadRequest) as caught:
        answers.create(ResponseChanges())
    assert caught.value.code == "conversation_already_has_active_response"
    for _ in range(3):
        answers.create(ResponseChanges(conversation="none"))
    with pytest.raises(BadRequest, match="4 responses are in progress"):
        answers.create(ResponseChanges(conversation="none"))
    assert len(made) == 4
    await answers.close()


async def test_a_turn_that_gets_its_text_while_the_session_closes_is_not_answered(made: list[StandIn]) -> None:
    answers = answers_for(History())
    answers.create(ResponseChanges())
    answers.user_stopped()
    answers.user_stopped()
    closing = asyncio.create_task(answers.close())
    await asyncio.sleep(0)
    answers.turn_transcribed(answer=True)
    answers.turn_transcribed(answer=True)
    await closing
    assert len(made) == 1


async def test_turns_are_answered_again_once_a_full_conversation_has_room(made: list[StandIn]) -> None:
    history = History()
    answers = answers_for(history)
    turns = Turns(history, answers, ignore)
    for index in range(MOST_ITEMS):
        history.insert(Entry(item_of({"type": "message", "role": "user", "id": str(index), "content": []}, "item")))
    await turns.pass_on(event("input_audio_buffer.speech_stopped", item_id="full"))
    with pytest.raises(BadRequest, match="full"):
        await turns.add("full", np.empty(0, np.float32))
    history.delete("0")
    await turns.pass_on(event("input_audio_buffer.speech_stopped", item_id="next"))
    await turns.add("next", np.empty(0, np.float32))
    completed = "conversation.item.input_audio_transcription.completed"
    await turns.pass_on(event(completed, item_id="next", transcript="Hello."))
    assert len(made) == 1
    await answers.close()
