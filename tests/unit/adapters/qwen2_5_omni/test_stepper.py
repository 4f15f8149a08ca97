"""Windows that join and leave a running batch, judged by the package's own generation of each alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from adapters.qwen2_5_omni.prompt import PromptBuilder
from adapters.qwen2_5_omni.sampler import SamplingParams
from adapters.qwen2_5_omni.stepper import Drawn, TokenStepper
from adapters.qwen2_5_omni.weights import Weights
from adapters.triton.transcriber import WindowRequest
from tests.unit.adapters.qwen2_5_omni.judge import Judge, sound
from tritone.contract import TranscriptionOptions

SOUNDS = [sound(*each) for each in ((4, 220), (1, 330), (7, 150), (0.05, 500), (3, 90), (0.5, 700))]
COUNT = 12


def in_flight(
    stepper: TokenStepper, prompts: PromptBuilder, params: Sequence[SamplingParams], slots: int, seed: int
) -> list[list[int]]:
    """Transcribe `SOUNDS`: prompts in random parts beside running windows, which end after different counts."""
    rng = np.random.default_rng(seed)
    tokens: list[list[int]] = [[] for _ in SOUNDS]
    waiting, of_slot = list(range(len(SOUNDS))), dict[int, int]()
    while waiting or of_slot:
        while waiting and len(of_slot) < slots and (not of_slot or rng.random() < 0.6):
            number = waiting.pop(0)
            slot = min(set(range(slots)) - of_slot.keys())
            of_slot[slot] = number
            with torch.inference_mode():
                stepper.open(slot, prompts.build(WindowRequest(SOUNDS[number], TranscriptionOptions())), params[number])
        unprefilled = [slot for slot in of_slot if stepper.unprefilled(slot)]
        drawn: dict[int, Drawn] = {}
        with torch.inference_mode():
            if unprefilled:
                slot = int(rng.choice(unprefilled))
                drawn |= stepper.prefill({slot: int(rng.integers(1, stepper.unprefilled(slot) + 1))})
            complete = [slot for slot in of_slot if slot not in drawn and not stepper.unprefilled(slot)]
            if complete:
                drawn |= stepper.step(complete)
        for slot, each in drawn.items():
            number = of_slot[slot]
            tokens[number].append(each.token)
            if len(tokens[number]) == COUNT - number or each.token in prompts.ends:
                stepper.release(slot)
                del of_slot[slot]
    return tokens


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_windows_in_flight_give_the_tokens_of_the_package(
    weights: Weights, prompts: PromptBuilder, judge: Judge, penalty: float
) -> None:
    stepper = TokenStepper(weights, slots=3, positions=400)
    params = [SamplingParams(0.0, penalty, 0)] * len(SOUNDS)
    found = in_flight(stepper, prompts, params, 3, seed=1)
    expected = [judge.tokens(audio, COUNT - number, penalty=penalty) for number, audio in enumerate(SOUNDS)]
    assert found == expected
    assert len({tuple(each) for each in expected}) > 1, "the audio has no effect"


def test_sampled_windows_do_not_depend_on_their_neighbours(weights: Weights, prompts: PromptBuilder) -> None:
    params = [SamplingParams(0.9, 1.1, seed) for seed in range(len(SOUNDS))]
    alone = in_flight(TokenStepper(weights, slots=1, positions=400), prompts, params, 1, seed=2)
    together = in_flight(TokenStepper(weights, slots=4, positions=400), prompts, params, 4, seed=3)
    assert together == alone
    others = [SamplingParams(0.9, 1.1, seed + 100) for seed in range(len(SOUNDS))]
    assert in_flight(TokenStepper(weights, slots=4, positions=400), prompts, others, 4, seed=3) != alone


def test_log_probabilities_are_those_of_the_package(weights: Weights, prompts: PromptBuilder, judge: Judge) -> None:
    stepper = TokenStepper(weights, slots=1, positions=400)
    prompt = prompts.build(WindowRequest(SOUNDS[0], TranscriptionOptions()))
    with torch.inference_mode():
        stepper.open(0, prompt, SamplingParams(0.0, 1.0, 0, logprobs=True))
        (first,) = stepper.prefill({0: len(prompt.ids)}).values()
        inputs = judge.inputs(SOUNDS[0], TranscriptionOptions())
        expected = judge.model(**inputs).logits[0, -1].log_softmax(-1)[first.token]
    assert first.logprob == pytest.approx(float(expected), abs=1e-4)
