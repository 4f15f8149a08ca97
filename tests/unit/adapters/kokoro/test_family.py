"""The names of OpenAI's voices, as Kokoro's family maps them."""

from __future__ import annotations

import json

from adapters.kokoro.settings import FAMILY
from tests.e2e.server import ROOT


def test_every_name_of_openai_is_another_voice_that_was_understood_without_an_error() -> None:
    measured = json.loads((ROOT / "benchmarks" / "results" / "voices.json").read_text())["voices"]
    voices = list(FAMILY.models["kokoro-82m"].voice_aliases.values())
    assert len(voices) == len(set(voices)) == 13
    assert [voice for voice in voices if measured[voice]["wer"] > 0] == []
