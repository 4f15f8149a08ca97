"""Prompts compared, row by row, with the package's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from adapters.qwen3_tts.inflight.model.prompt import PromptBuilder
from tests.unit.adapters.qwen3_tts.oracle import CASES, LONG, SHORT, Oracle

EXACT = {"atol": 2e-6, "rtol": 0}


@pytest.mark.parametrize("streaming_text", [True, False], ids=["text frame by frame", "whole text"])
@pytest.mark.parametrize("name", CASES)
def test_prompt_equals_the_packages(model_dir: Path, name: str, streaming_text: bool) -> None:
    case = CASES[name]
    oracle = Oracle.of(model_dir, case.checkpoint)
    prompt = oracle.prompt(case, streaming_text=streaming_text)
    package = oracle.package_prompt(case, streaming_text=streaming_text)
    torch.testing.assert_close(prompt.embeddings, package.embeddings, **EXACT)
    rows = len(package.trailing)  # the package goes on with a pad; ours ends with it
    torch.testing.assert_close(prompt.trailing[:rows], package.trailing, **EXACT)
    assert len(prompt.trailing) <= rows + 1


def test_cases_cover_texts_shorter_and_longer_than_the_reference(model_dir: Path) -> None:
    oracle = Oracle.of(model_dir, "0.6B-Base")
    shorter, longer = (CASES[f"voice in context, {which} text"] for which in ("shorter", "longer"))
    assert (shorter.text, longer.text) == (SHORT, LONG)
    assert len(oracle.prompt(shorter, streaming_text=True).trailing) == 1
    assert len(oracle.prompt(longer, streaming_text=True).trailing) > 1


@pytest.fixture
def prompts(model_dir: Path) -> PromptBuilder:
    return PromptBuilder(Oracle.of(model_dir, "0.6B-CustomVoice").weights)


def test_speaker_is_found_in_any_case(model_dir: Path) -> None:
    weights = Oracle.of(model_dir, "0.6B-CustomVoice").weights
    talker = weights.config["talker_config"]
    spelled = {
        "spk_id": {name.title(): id_ for name, id_ in talker["spk_id"].items()},
        "spk_is_dialect": {name.upper(): dialect for name, dialect in talker["spk_is_dialect"].items()},
    }
    respelled = replace(weights, config={**weights.config, "talker_config": {**talker, **spelled}})
    mine, theirs = (PromptBuilder(each).build("Hello.", speaker="eric") for each in (respelled, weights))
    assert torch.equal(mine.embeddings, theirs.embeddings)


def test_empty_text_is_rejected(prompts: PromptBuilder) -> None:
    with pytest.raises(ValueError, match="the text is empty"):
        prompts.build("")


@pytest.mark.parametrize("unknown", [{"language": "klingon"}, {"speaker": "unknown"}])
def test_unknown_language_or_speaker_is_an_error(prompts: PromptBuilder, unknown: dict[str, str]) -> None:
    with pytest.raises(KeyError):
        prompts.build("Hello.", **unknown)
