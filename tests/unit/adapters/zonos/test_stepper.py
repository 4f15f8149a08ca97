"""The codes of texts: of a recorded run, in any batch, and as each condition changes them."""

# ruff: noqa: RUF001  (phonemes look like Latin letters)

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters.zonos.conditioner import USUAL_EMOTIONS, Conditions
from adapters.zonos.sampler import SamplingParams
from adapters.zonos.stepper import ColumnStepper, Prompt
from adapters.zonos.vocabulary import token_ids
from adapters.zonos.weights import Weights

GOLDEN = Path(__file__).with_name("golden_codes.json")
SPEAKER = torch.linspace(-1, 1, 128)
PHONEMES = "həlˈoʊ, wˈɜːld!"
USUAL = Conditions(token_ids(PHONEMES), 24, SPEAKER)
GREEDY = SamplingParams(0, temperature=0.0)
FRAMES = 24


def prompt(weights: Weights, *, guidance: float = 2.0, sampling: SamplingParams = GREEDY, **conditions: Any) -> Prompt:
    with torch.inference_mode():
        return Prompt(weights.prefix(replace(USUAL, **conditions)), guidance, sampling)


def run(stepper: ColumnStepper, prompts: dict[int, Prompt], frames: int = FRAMES) -> dict[int, list[list[int]]]:
    """Return the codes of the prompts by slot; each begins a step after the one before, and leaves at its end."""
    waiting = list(prompts)
    running: list[int] = []
    codes: dict[int, list[list[int]]] = {}
    with torch.inference_mode():
        while waiting or running:
            patterns = stepper.step(running) if running else {}
            if waiting:
                slot = waiting.pop(0)
                stepper.open(slot, prompts[slot])
                patterns[slot] = stepper.prefill(slot)
                running.append(slot)
            for slot, pattern in patterns.items():
                if pattern.is_over or pattern.frames >= frames:
                    codes[slot] = pattern.codes(0, min(pattern.frames, frames))
                    running.remove(slot)
                    stepper.release(slot)
    return codes


def codes_of(weights: Weights, each: Prompt, frames: int = FRAMES) -> list[list[int]]:
    return run(ColumnStepper(weights, slots=1, positions=200), {0: each}, frames)[0]


@pytest.mark.parametrize("name", ["greedy", "sampled", "expressive"])
def test_codes_are_those_of_the_recorded_run(weights: Weights, name: str) -> None:
    recorded = json.loads(GOLDEN.read_text())[name]
    conditions = {
        "greedy": prompt(weights),
        "sampled": prompt(weights, sampling=SamplingParams(7)),
        "expressive": prompt(weights, emotions=(0, 0, 0, 0, 0.5, 0.5, 0, 0), pitch_std=120.0, speaking_rate=25.0),
    }
    assert codes_of(weights, conditions[name]) == recorded


def test_texts_in_a_batch_get_the_codes_that_each_gets_alone(weights: Weights) -> None:
    prompts = {
        2: prompt(weights),
        0: prompt(weights, guidance=3.0, sampling=SamplingParams(3)),
        1: prompt(weights, tokens=token_ids("bˈaɪ."), sampling=SamplingParams(4, top_k=50)),
        3: prompt(weights, speaker=-SPEAKER, sampling=SamplingParams(5, top_p=0.9, repetition_penalty=1.0)),
    }
    together = run(ColumnStepper(weights, slots=4, positions=200), prompts)
    assert together == {slot: codes_of(weights, each) for slot, each in prompts.items()}


@pytest.mark.parametrize(
    "conditions",
    [
        {"emotions": (1.0, 0, 0, 0, 0, 0, 0, 0)},
        {"pitch_std": 150.0},
        {"speaking_rate": 30.0},
        {"language": 58},
        {"speaker": -SPEAKER},
        {"tokens": token_ids("bˈaɪ.")},
    ],
)
def test_each_condition_changes_the_codes(weights: Weights, conditions: dict[str, Any]) -> None:
    assert codes_of(weights, prompt(weights, **conditions)) != codes_of(weights, prompt(weights))


def test_only_the_ratio_of_the_emotions_counts(weights: Weights) -> None:
    halves = tuple(weight / 2 for weight in USUAL_EMOTIONS)
    assert codes_of(weights, prompt(weights, emotions=halves)) == codes_of(weights, prompt(weights))


def test_guidance_moves_the_codes_away_from_those_without_conditions(weights: Weights) -> None:
    """With a scale of 1 the row without conditions has no effect; above 1 it has."""
    unguided = prompt(weights, guidance=1.0)
    other = Prompt(torch.stack([unguided.prefix[0], unguided.prefix[0].flip(0)]), 1.0, GREEDY)
    assert codes_of(weights, other) == codes_of(weights, unguided)
    assert codes_of(weights, replace(other, guidance=3.0)) != codes_of(weights, replace(unguided, guidance=3.0))
    both = Prompt(unguided.prefix[:1].expand(2, -1, -1), 3.0, GREEDY)
    assert codes_of(weights, both) == codes_of(weights, unguided), "nothing to move away from"


def test_the_first_frame_is_no_end(weights: Weights) -> None:
    head = weights.head.clone()
    head[1024] = 100 * weights.norm.bias  # the end of codebook 0 becomes the most probable code
    ending = replace(weights, head=head, norm=replace(weights.norm, weight=torch.zeros_like(weights.norm.weight)))
    assert len(codes_of(ending, prompt(ending))) == 1
