"""The commands of docs/finetuning.md are calls that `scripts/finetune` understands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from finetuning.arguments import STEPS, parse

PAGE = Path(__file__).parents[3] / "docs" / "finetuning.md"
LINES = re.findall(r"scripts/finetune ([^`\n]+)", PAGE.read_text(encoding="utf-8"))
WHOLE = [line for line in LINES if line.split()[0] in (*STEPS, "haru")]


@pytest.mark.parametrize("line", sorted(set(WHOLE)))
def test_command_of_the_page_is_understood(line: str) -> None:
    assert parse(line.split()).name == "haru"


def test_page_shows_every_step() -> None:
    assert {line.split()[0] for line in WHOLE} >= set(STEPS)
