"""Text from tokens that may end within a character."""

from __future__ import annotations

import pytest

from adapters.qwen2_5_omni.prompt import PromptBuilder
from adapters.qwen2_5_omni.text import TextAssembler, TokenBytes


def assembled(text: str, size: int) -> tuple[str, list[str]]:
    """Return the text and its pieces from parts of `size` bytes."""
    assembler, data = TextAssembler(), text.encode()
    pieces = [assembler.add(data[start : start + size]) for start in range(0, len(data), size)]
    pieces.append(assembler.add(b"", last=True))
    return assembler.text, pieces


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The harbour  was quiet.\n", " The harbour  was quiet."),
        (" \n明天早上我们去图书馆。 ", "明天早上我们去图书馆。"),
        ("내일 아침에", " 내일 아침에"),
        ("👍🏽 naïve", " 👍🏽 naïve"),
        (" \n ", ""),
    ],
)
def test_pieces_joined_are_the_text(text: str, expected: str, size: int) -> None:
    whole, pieces = assembled(text, size)
    assert whole == "".join(pieces) == expected


def test_text_that_ends_within_a_character_shows_that() -> None:
    assembler = TextAssembler()
    assert assembler.add("é".encode()[:1]) == ""
    assert assembler.add(b"", last=True) == " \ufffd"


def test_tokens_have_the_bytes_that_the_tokenizer_read(prompts: PromptBuilder) -> None:
    text = "Morgen früh, 明天早上 내일 👍🏽 <|im_end|>"
    ids = prompts.tokenizer(text, split_special_tokens=True)["input_ids"]
    of_token = TokenBytes(prompts.tokenizer)
    assert b"".join(map(of_token.of, ids)).decode() == text
    assert of_token.of(prompts.tokenizer.convert_tokens_to_ids("<|im_end|>")) == b""
    assert of_token.of(len(prompts.tokenizer)) == b""
