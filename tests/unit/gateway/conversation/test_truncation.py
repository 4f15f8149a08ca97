"""Conversations that are longer than the language model's context."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.openai.conversation.history import History
from gateway.openai.conversation.truncation import RetentionRatio, TokenLimits, Truncation
from tests.stand_ins.language_model import LanguageModelServer
from tests.unit.gateway.conftest import Gateway
from tests.unit.gateway.conversation.conftest import Client, talk
from tests.unit.gateway.conversation.test_history import CALL, OUTPUT, history, message

TEXT = "x" * 76
"""With what stands around it, 100 bytes."""


def turns(count: int) -> History:
    """Return a conversation of so many messages of 100 bytes, the last one the user's."""
    roles = ["user" if (count - i) % 2 else "assistant" for i in range(count)]
    return history(*(message(TEXT, f"{i}", role) for i, role in enumerate(roles)))


def ratio(kept: float, limit: int | None = None) -> RetentionRatio:
    return RetentionRatio(retention_ratio=kept, token_limits=TokenLimits(post_instructions=limit))


@pytest.mark.parametrize(
    ("truncation", "left"), [("auto", 7), (ratio(0.5), 5), (ratio(1.0), 9), (ratio(0.0), 1), ("disabled", None)]
)
def test_too_long_a_conversation_keeps_its_end(truncation: Truncation, left: int | None) -> None:
    made = turns(10)
    assert made.shorten(truncation) == (left is not None)
    assert len(made.messages()) == (left or 10)
    assert left is None or made.messages()[0]["role"] == "user"
    assert made.find("0"), "clients still see it"


def test_the_last_message_of_the_user_stays_with_what_follows() -> None:
    made = history(message("Hi.", "a", "assistant"), message("When?", "b"), CALL, OUTPUT)
    assert made.shorten(ratio(0.0))
    assert [each["role"] for each in made.messages()] == ["user", "assistant", "tool"]
    assert not made.shorten(ratio(0.0))


def test_a_limit_of_tokens_counts_as_the_language_model_counts() -> None:
    made = turns(10)
    made.learn(size=1000, tokens=500)
    made.limit(ratio(0.8, 500))
    assert len(made.messages()) == 10, "500 tokens are allowed"
    made.limit(ratio(0.8, 499))
    assert len(made.messages()) == 7, "of 399 tokens, 350 are seven messages"


async def respond(client: Client, text: str) -> Any:
    await client.write(text)
    await client.sdk.response.create()
    return (await client.last("response.done")).response


async def test_a_conversation_goes_on_without_its_beginning(
    gateway: Gateway, language_model: LanguageModelServer
) -> None:
    language_model.most_messages = 4
    async with talk(gateway) as client:
        for number in range(4):
            assert (await respond(client, f"question {number}")).status == "completed"
    sizes = [len(request["messages"]) for request in language_model.requests]
    assert sizes == [2, 4, 6, 4, 6, 4], "what was forgotten is not sent again"
    assert [each["content"] for each in language_model.requests[-1]["messages"][1::2]] == ["question 2", "question 3"]


async def test_without_truncation_the_response_fails_with_the_reason(
    gateway: Gateway, language_model: LanguageModelServer
) -> None:
    language_model.most_messages = 3
    async with talk(gateway) as client:
        assert (await client.update(truncation="disabled")).truncation == "disabled"
        await respond(client, "one")
        failed = await respond(client, "two")
        assert (failed.status, failed.status_details.error.code) == ("failed", "context_length_exceeded")
        await client.update(truncation={"type": "retention_ratio", "retention_ratio": 0.1})
        assert (await respond(client, "three")).status == "completed"


async def test_a_limit_holds_before_the_language_model_refuses(
    gateway: Gateway, language_model: LanguageModelServer
) -> None:
    async with talk(gateway) as client:
        limits = {"post_instructions": 50}
        truncation = {"type": "retention_ratio", "retention_ratio": 0.5, "token_limits": limits}
        session = await client.update(truncation=truncation)
        assert session.truncation.to_dict() == truncation
        for number in range(4):
            await respond(client, f"question {number}")
    assert [len(request["messages"]) for request in language_model.requests] == [2, 4, 2, 4]


@pytest.mark.parametrize(
    ("truncation", "param"),
    [
        ("sometimes", "session.truncation"),
        ({"type": "retention_ratio"}, "session.truncation.retention_ratio"),
        ({"type": "retention_ratio", "retention_ratio": 2}, "session.truncation.retention_ratio"),
        (
            {"type": "retention_ratio", "retention_ratio": 0.5, "token_limits": {"post_instructions": 0}},
            "session.truncation.token_limits.post_instructions",
        ),
    ],
)
async def test_a_wrong_truncation_is_named(gateway: Gateway, truncation: Any, param: str) -> None:
    async with talk(gateway) as client:
        wrong: Any = {"type": "realtime", "truncation": truncation}
        assert (await client.error(client.sdk.session.update(session=wrong))).param == param


async def test_the_language_model_is_told_how_to_think_and_call(
    gateway: Gateway, language_model: LanguageModelServer
) -> None:
    tools: Any = [{"type": "function", "name": "time"}]
    async with talk(gateway) as client:
        await client.update(tools=tools, parallel_tool_calls=False, reasoning={"effort": "low"})
        await respond(client, "one")
        await client.write("two")
        await client.sdk.response.create(response={"reasoning": {"effort": "high"}})
        await client.last("response.done")
    assert [request["parallel_tool_calls"] for request in language_model.requests] == [False, False]
    assert [request["reasoning_effort"] for request in language_model.requests] == ["low", "high"]
