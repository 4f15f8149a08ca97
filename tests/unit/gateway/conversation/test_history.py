"""The items of a conversation, as clients edit them."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from gateway.errors import BadRequest
from gateway.openai.conversation.history import MOST_CHARS, Entry, History
from gateway.openai.conversation.items import Message, item_of
from tests.stand_ins.language_model import LanguageModelServer
from tests.unit.gateway.conftest import Gateway
from tests.unit.gateway.conversation.conftest import of, talk
from tests.unit.gateway.realtime.test_realtime import pcm
from tritone.errors import InvalidInput


def message(text: str, id_: str, role: str = "user") -> dict[str, Any]:
    type_ = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "id": id_, "content": [{"type": type_, "text": text}]}


def history(*items: dict[str, Any]) -> History:
    made = History()
    for item in items:
        made.insert(Entry(item_of(item, "item")))
    return made


CALL = {"type": "function_call", "id": "c", "call_id": "1", "name": "time", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "id": "o", "call_id": "1", "output": "nine"}


def test_items_are_inserted_where_the_client_wants() -> None:
    made = history(message("one", "a"), message("two", "b"))
    assert made.insert(Entry(item_of(message("between", "c"), "item")), "a") == "a"
    assert made.insert(Entry(item_of(message("first", "d", "system"), "item")), "root") is None
    assert [each["content"] for each in made.messages()] == ["first", "one", "between", "two"]
    made.delete("c")
    assert (made.last, made.before("b")) == ("b", "a")


async def test_nobody_waits_for_the_text_of_a_deleted_item() -> None:
    made = history({"type": "message", "role": "user", "id": "a", "content": [{"type": "input_audio", "audio": ""}]})
    waiting = asyncio.create_task(made.wait_complete())
    await asyncio.sleep(0)
    made.delete("a")
    async with asyncio.timeout(120):
        await waiting


async def test_an_item_is_waited_for_though_one_before_it_is_deleted() -> None:
    made = history()
    entries = [Entry(item_of(message("", id_), "item")) for id_ in "abc"]
    for entry in entries:
        made.insert(entry)
    waiting = asyncio.create_task(made.wait_complete())
    entries[0].complete.set()
    await asyncio.sleep(0)
    made.delete("a")
    entries[1].complete.set()
    await asyncio.sleep(0.01)
    assert not waiting.done()
    entries[2].complete.set()
    async with asyncio.timeout(120):
        await waiting


def test_a_call_without_an_output_is_not_shown_to_the_language_model() -> None:
    made = history(message("When?", "a"), CALL, message("Hm?", "b"))
    assert [each["role"] for each in made.messages()] == ["user", "user"]
    made.insert(Entry(item_of(OUTPUT, "item")))
    assert [each["role"] for each in made.messages()] == ["user", "assistant", "tool", "user"]


@pytest.mark.parametrize("address", ["data:image/png;base64,AAAA", "https://example.com/cat.png"])
def test_images_are_passed_on(address: str) -> None:
    parts = [{"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": address}]
    made = history({"type": "message", "role": "user", "content": parts})
    (shown,) = made.messages()
    assert shown["content"][1] == {"type": "image_url", "image_url": {"url": address, "detail": "auto"}}


@pytest.mark.parametrize(
    "item",
    [
        {"type": "function_call", "name": "x" * MOST_CHARS, "arguments": "{}"},
        {"type": "function_call", "call_id": "x" * MOST_CHARS, "name": "time", "arguments": "{}"},
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "x", "transcript": "x" * MOST_CHARS}],
        },
    ],
)
def test_all_of_an_item_counts_for_the_size_of_the_conversation(item: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="full"):
        history(message("Hello.", "a"), item)


def test_the_audio_of_an_item_is_not_kept() -> None:
    part = {"type": "input_audio", "audio": "AAAA", "transcript": "Hello."}
    item = item_of({"type": "message", "role": "user", "content": [part]}, "item")
    History().insert(Entry(item))
    assert isinstance(item, Message)
    assert item.content[0].audio is None


@pytest.mark.parametrize(
    ("item", "field"),
    [
        (
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_image", "image_url": "file:///etc/passwd"}],
            },
            "item.content.0.image_url",
        ),
        ({"type": "mcp_call"}, "item.type"),
        ({"type": "message", "role": "nobody", "content": []}, "item.role"),
        ({"type": "message", "role": "user", "content": [{"type": "output_text"}]}, "item"),
        ({"type": "function_call_output", "output": "x"}, "item.call_id"),
    ],
)
def test_a_wrong_item_is_named(item: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        item_of(item, "item")
    assert caught.value.field == field


async def test_a_client_edits_the_conversation(gateway: Gateway, language_model: LanguageModelServer) -> None:
    async with talk(gateway) as client:
        await client.write("My name is Ada.")
        first: Any = message("Hello Ada.", "mine", "assistant")
        await client.sdk.conversation.item.create(item=first, previous_item_id="root")
        done = await client.last("conversation.item.done")
        assert (done.item.id, done.previous_item_id) == ("mine", None)
        await client.sdk.conversation.item.retrieve(item_id="mine")
        retrieved = await client.last("conversation.item.retrieved")
        assert retrieved.item.content[0].text == "Hello Ada."
        await client.sdk.conversation.item.delete(item_id="mine")
        assert (await client.last("conversation.item.deleted")).item_id == "mine"
        missing = client.sdk.conversation.item.delete(item_id="mine", event_id="e1")
        error = await client.error(missing)
        assert (error.param, error.event_id) == ("item_id", "e1")
        orphan: Any = {"type": "function_call_output", "call_id": "x", "output": "y"}
        assert (await client.error(client.sdk.conversation.item.create(item=orphan))).param == "item.call_id"
        await client.sdk.response.create()
        await client.until("response.done")
    assert [each["content"] for each in language_model.requests[0]["messages"][1:]] == ["My name is Ada."]


async def test_a_message_of_audio_is_transcribed_before_it_is_answered(
    gateway: Gateway, language_model: LanguageModelServer
) -> None:
    async with talk(gateway) as client:
        await client.update(audio={"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}})
        audio = base64.b64encode(pcm((0.5, None), (1, 5), (0.5, None))).decode()
        item: Any = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": audio}]}
        await client.sdk.conversation.item.create(item=item)
        await client.sdk.response.create()
        events = await client.until("response.done")
    (completed,) = of(events, "conversation.item.input_audio_transcription.completed")
    assert completed.transcript == "part 5"
    assert language_model.requests[0]["messages"][1] == {"role": "user", "content": "part 5"}
