"""The part of a voice's prompts that is prefilled once: the longest there is, and it changes no code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch

from adapters.qwen3_tts.inflight.model.prompt_prefix import SharedPrompt
from adapters.qwen3_tts.inflight.model.stepper import FrameStepper
from tests.unit.adapters.qwen3_tts.model.isolation import SAMPLINGS, TOKENS, SoloRun, run_together
from tests.unit.adapters.qwen3_tts.model.test_fused_backend import stand_ins
from tests.unit.adapters.qwen3_tts.oracle import CASES, GREEDY, LARGE, LONG, SHORT, Oracle, SharedNoise, step_solo

CLONES = {name: case for name, case in CASES.items() if case.reference_text is not None}
TEXTS = (SHORT, LONG)
both_layouts = pytest.mark.parametrize("streaming_text", [True, False], ids=["text frame by frame", "whole text"])


@both_layouts
@pytest.mark.parametrize("name", CLONES)
def test_prefix_is_all_that_the_prompts_of_a_voice_have_in_common(
    model_dir: Path, name: str, streaming_text: bool
) -> None:
    case, shared = CLONES[name], SharedPrompt()
    oracle = Oracle.of(model_dir, case.checkpoint)
    prompts = [oracle.prompt(replace(case, text=text), streaming_text=streaming_text, shared=shared) for text in TEXTS]
    one, other = (prompt.embeddings for prompt in prompts)
    shorter = min(len(one), len(other))
    differing = (one[:shorter] - other[:shorter]).abs().amax(1) > 1e-5
    first = int(differing.int().argmax()) if differing.any() else shorter
    assert prompts[0].prefix is prompts[1].prefix is not None
    # A prompt without a row of its own still computes its last one, from which the first code is drawn.
    assert prompts[0].prefix.tokens == min(first, shorter - 1)


@both_layouts
@pytest.mark.parametrize("name", CLONES)
def test_codes_with_a_held_prefix_equal_the_packages(model_dir: Path, name: str, streaming_text: bool) -> None:
    case, shared = CLONES[name], SharedPrompt()
    oracle = Oracle.of(model_dir, case.checkpoint)
    stepper = FrameStepper(oracle.weights, slots=2, positions=160)
    for number, text in enumerate(TEXTS):
        each = replace(case, text=text)
        package = oracle.package_codes(each, streaming_text=streaming_text, max_new_tokens=TOKENS)
        prompt = oracle.prompt(each, streaming_text=streaming_text, shared=shared)
        slot = number % 2
        stepper.open(slot, prompt, GREEDY)
        assert prompt.prefix
        assert stepper.unprefilled(slot) == len(prompt.embeddings) - (prompt.prefix.tokens if number else 0)
        stepper.prefill({slot: stepper.unprefilled(slot)})
        codes = list(step_solo(stepper, slot, TOKENS - 1))
        assert torch.equal(torch.stack(codes), package)
        stepper.release(slot)


@pytest.mark.parametrize("name", ["as the reference does by default", "top-p and top-k"])
def test_sampled_codes_with_a_held_prefix_equal_the_packages(
    model_dir: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, shared, sampling = CLONES["voice in context, longer text"], SharedPrompt(), SAMPLINGS[name]
    oracle = Oracle.of(model_dir, case.checkpoint)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "multinomial", SharedNoise(oracle.weights, sampling))
        given = {name: value for name, value in vars(sampling).items() if name not in ("seed", "min_new_tokens")}
        package = oracle.package_codes(case, streaming_text=True, max_new_tokens=TOKENS, **given)
    oracle.codes(oracle.prompt(replace(case, text=SHORT), streaming_text=True, shared=shared), frames=1)
    prompt = oracle.prompt(case, streaming_text=True, shared=shared)
    assert prompt.prefix
    assert prompt.prefix.keys_values is not None
    assert torch.equal(oracle.codes(prompt, sampling, frames=TOKENS - 1), package)


@pytest.fixture(scope="module")
def voices(model_dir: Path) -> list[SoloRun]:
    """Streams of three voices; each voice's prefixes are held from its first stream on."""
    streams = []
    samplings = iter([*SAMPLINGS.values(), GREEDY] * 3)
    for case in (case for case in CLONES.values() if case.checkpoint == LARGE.checkpoint):
        oracle, shared = Oracle.of(model_dir, case.checkpoint), SharedPrompt()
        for text in TEXTS:
            for streaming_text in (True, False):
                prompt = oracle.prompt(replace(case, text=text), streaming_text=streaming_text, shared=shared)
                sampling = next(samplings)
                codes = oracle.codes(replace(prompt, prefix=None), sampling, frames=TOKENS)
                streams.append(SoloRun(prompt, sampling, codes))
    return streams


def forget(voices: list[SoloRun]) -> Iterator[None]:
    for stream in voices:
        assert stream.prompt.prefix
        stream.prompt.prefix.keys_values = None
    yield
    assert all(stream.prompt.prefix and stream.prompt.prefix.keys_values is not None for stream in voices)


@pytest.fixture(autouse=True)
def _unheld(request: pytest.FixtureRequest) -> Iterator[None]:
    """The prefixes are computed in the test."""
    if "voices" not in request.fixturenames:
        yield
    else:
        yield from forget(request.getfixturevalue("voices"))


@pytest.mark.parametrize("seed", range(2))
def test_streams_of_shared_voices_equal_their_solo_runs_in_plain_torch(
    voices: list[SoloRun], oracle: Oracle, seed: int
) -> None:
    run_together(FrameStepper(oracle.weights, slots=4, positions=160), voices, Random(seed))


@stand_ins()
def test_streams_of_shared_voices_equal_their_solo_runs_with_the_fused_backend(
    voices: list[SoloRun], oracle: Oracle
) -> None:
    run_together(FrameStepper(oracle.weights, slots=5, positions=160, fused=True), voices, Random(1))


def test_voice_keeps_the_prefixes_that_were_used_last() -> None:
    shared = SharedPrompt()
    prefixes = [shared.prefix(language, streaming_text=True, tokens=3) for language in "abcd"]
    for prefix in prefixes:
        prefix.keys_values = torch.zeros(10)
    assert shared.nbytes == 160
    assert shared.prefix("a", streaming_text=True, tokens=3) is prefixes[0]
    shared.prefix("a", streaming_text=False, tokens=5)
    assert shared.prefix("a", streaming_text=True, tokens=3) is prefixes[0]
    assert shared.prefix("b", streaming_text=True, tokens=3) is not prefixes[1]
    shared.drop_prefixes()
    assert shared.nbytes == 0
