"""JSON of clients: values are read, and whatever would fail later is rejected with one error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.untrusted_json import MalformedJson, parse, parse_object


@pytest.mark.parametrize("value", [{"a": [1, -2.5, None, True, "é😀"]}, [], "text", 0, None, {"": {"": {}}}])
def test_a_value_is_read_from_text_and_from_bytes(value: Any) -> None:
    text = json.dumps(value)
    assert parse(text) == value
    assert parse(text.encode()) == value
    assert parse(json.dumps(value, ensure_ascii=False)) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1,]",
        "{'a': 1}",
        '{"a": 1} {"b": 2}',
        "NaN",
        "[Infinity]",
        "[-Infinity]",
        '"\\ud800"',
        '{"\\udc00": 1}',
        '"\ud800"',
        "1" * 5000,
        '"line\nbreak"',
        "[" * 1000 + "]" * 1000,
        '{"a":' * 100_000,
        b"\xff",
        b'"\xc3("',
        b'"\xed\xa0\x80"',
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_malformed_json_raises_one_error(text: str | bytes) -> None:
    with pytest.raises(MalformedJson):
        parse(text)


@pytest.mark.parametrize("text", ['"aaaaaaaa"', b'"aaaaaaaa"', '"éééé"'])
def test_a_text_is_limited_in_bytes(text: str | bytes) -> None:
    assert parse(text, max_bytes=10)
    with pytest.raises(MalformedJson, match="over 9 bytes"):
        parse(text, max_bytes=9)


@pytest.mark.parametrize("text", ["[]", '"text"', "1", "null"])
def test_an_object_is_demanded(text: str) -> None:
    with pytest.raises(MalformedJson, match="object"):
        parse_object(text)
    assert parse_object('{"a": null}') == {"a": None}
