"""The page about model families."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from tests.pages import blocks
from tritone.conversion import Conversion
from tritone.families import ROOT, Family, Model, SlotEngine, SlotMemory, Variant
from tritone.settings import Setting

PAGE = "docs/families.md"
KEYS = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", (ROOT / PAGE).read_text(), re.M))))


@pytest.mark.parametrize(
    ("type_", "given"),
    [
        (Model, {"id", "family"}),
        (SlotMemory, set()),
        (SlotEngine, set()),
        (Variant, set()),
        (Setting, {"name"}),
        (Conversion, set()),
    ],
)
def test_page_explains_the_keys_of_a_table(type_: type, given: set[str]) -> None:
    assert {field.name for field in dataclasses.fields(type_)} - given <= KEYS


def test_example_of_the_page_is_a_family(tmp_path: Path) -> None:
    [example] = blocks(PAGE, "toml")
    folder = tmp_path / "chime"
    folder.mkdir()
    (folder / "family.toml").write_text(example.code)
    family = Family.load(folder)
    assert list(family.models) == ["chime-small"]
    assert family.models["chime-small"].options == ("voice", "language", "speed")
    assert family.integer("CHIME_MAX_REQUESTS").read({}) == 16
