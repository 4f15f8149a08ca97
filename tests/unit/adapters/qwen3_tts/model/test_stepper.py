"""Codes compared, one by one, with the package's; and each stream compared with its solo run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from adapters.qwen3_tts.inflight.model.stepper import SPAN, FrameStepper
from tests.unit.adapters.qwen3_tts.model.isolation import SAMPLINGS, TOKENS, SoloRun, run_together
from tests.unit.adapters.qwen3_tts.oracle import (
    CASES,
    GREEDY,
    LARGE,
    LONG,
    Case,
    Oracle,
    SharedNoise,
    codes_of,
    step_solo,
)

PRESET, INSTRUCTED = CASES["preset voice"], CASES["preset voice, instructed"]
ENDING = Case("1.7B-CustomVoice", "Hello world, this is a test of speech.", "auto", "eric")
BOOK = Case("1.7B-Base", LONG * 16, "english", reference_text="")


@pytest.mark.parametrize("streaming_text", [True, False], ids=["text frame by frame", "whole text"])
@pytest.mark.parametrize("name", CASES)
def test_greedy_codes_equal_the_packages(model_dir: Path, name: str, streaming_text: bool) -> None:
    case = CASES[name]
    oracle = Oracle.of(model_dir, case.checkpoint)
    package = oracle.package_codes(case, streaming_text=streaming_text, max_new_tokens=TOKENS)
    codes = oracle.codes(oracle.prompt(case, streaming_text=streaming_text), frames=TOKENS - 1)
    assert torch.equal(codes, package)
    assert len(codes) > 0


def test_codes_of_long_speech_equal_the_packages(model_dir: Path) -> None:
    case = CASES["speaker embedding"]
    oracle = Oracle.of(model_dir, case.checkpoint)
    package = oracle.package_codes(case, streaming_text=True, max_new_tokens=80)
    prompt = oracle.prompt(case, streaming_text=True)
    assert len(prompt.embeddings) < SPAN < len(prompt.embeddings) + len(package) - 1
    assert torch.equal(oracle.codes(prompt, frames=79), package)


@pytest.mark.parametrize("name", SAMPLINGS)
@pytest.mark.parametrize("case", [PRESET, INSTRUCTED], ids=["0.6B", "1.7B"])
def test_sampled_codes_equal_the_packages_with_the_same_noise(
    model_dir: Path, case: Case, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampling = SAMPLINGS[name]
    oracle = Oracle.of(model_dir, case.checkpoint)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "multinomial", SharedNoise(oracle.weights, sampling))
        given = {name: value for name, value in vars(sampling).items() if name not in ("seed", "min_new_tokens")}
        package = oracle.package_codes(case, streaming_text=True, max_new_tokens=TOKENS, **given)
    codes = oracle.codes(oracle.prompt(case, streaming_text=True), sampling, frames=TOKENS - 1)
    assert torch.equal(codes, package)


def test_end_token_is_no_frame_and_its_row_is_zero(model_dir: Path) -> None:
    case = ENDING
    oracle = Oracle.of(model_dir, case.checkpoint)
    package = oracle.package_codes(case, streaming_text=False, max_new_tokens=TOKENS)
    assert 0 < len(package) < TOKENS - 1
    stepper = FrameStepper(oracle.weights, slots=1, positions=128)
    stepper.start(0, oracle.prompt(case), GREEDY)
    assert torch.equal(torch.stack(list(step_solo(stepper, 0, len(package)))), package)
    last = stepper.step([0])
    assert last.ended.tolist() == [True]
    assert not last.codes.any()


def test_end_token_comes_after_two_codes_at_the_earliest(model_dir: Path) -> None:
    oracle = Oracle(model_dir / "Qwen3-TTS-12Hz-0.6B-CustomVoice")
    end, prompt = oracle.stock.end_token, oracle.prompt(PRESET, streaming_text=True)
    lengths = []
    for wish in (1e4, -1e4):  # one of them draws the end token as the third code, the other as the first
        head = oracle.weights.codec_head.clone()
        head[end] *= wish
        eager = replace(oracle.weights, codec_head=head)
        oracle.stock.model.talker.codec_head.weight.data.copy_(head)
        package = oracle.package_codes(PRESET, streaming_text=True, max_new_tokens=TOKENS)
        assert torch.equal(codes_of(eager, prompt, GREEDY, frames=TOKENS - 1), package)
        at_once = codes_of(
            eager, oracle.prompt(PRESET, streaming_text=True), replace(GREEDY, min_new_tokens=0), frames=3
        )
        lengths.append((len(package), len(at_once)))
    assert min(package for package, _ in lengths) == 2
    assert min(at_once for _, at_once in lengths) == 0


def test_long_prompt_gives_the_packages_codes(oracle: Oracle) -> None:
    package = oracle.package_codes(BOOK, streaming_text=False, max_new_tokens=4)
    prompt = oracle.prompt(BOOK)
    assert len(prompt.embeddings) > 300  # more than fit into one pass through the layers
    assert torch.equal(oracle.codes(prompt, frames=3), package)


@given(random=st.integers(0, 2**32 - 1).map(Random), buckets=st.sampled_from([(), (1, 2, 4, 8)]))
@settings(max_examples=15, deadline=None, database=None)
def test_stream_is_the_same_in_any_batch_and_with_any_prefill_chunks(
    solo_runs: list[SoloRun], oracle: Oracle, random: Random, buckets: tuple[int, ...]
) -> None:
    stepper = FrameStepper(oracle.weights, slots=4, positions=128, buckets=buckets)
    run_together(stepper, solo_runs, random)


class Operations(TorchDispatchMode):
    """Records the operations and the shapes of their results."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[object, ...]] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        self.seen.append((operation, result.shape if isinstance(result, Tensor) else None))
        return result


def test_frames_have_the_same_operations_and_none_waits_for_the_device(oracle: Oracle) -> None:
    stepper = FrameStepper(oracle.weights, slots=4, positions=128)
    for slot, sampling in ((0, GREEDY), (3, SAMPLINGS["top-p and top-k"])):
        stepper.start(slot, oracle.prompt(LARGE), sampling)
    stepper.step([0, 3])
    frames = []
    for _ in range(3):
        with Operations() as operations:
            stepper.step([0, 3])
        frames.append(operations.seen)
    assert frames[0] == frames[1] == frames[2]
    names = {operation.name() for operation, _ in frames[0]}
    assert not names & {"aten::_local_scalar_dense", "aten::item", "aten::nonzero", "aten::is_nonzero"}


@pytest.mark.parametrize("left", ["after its prompt", "in the middle of its prompt"])
def test_slot_keeps_nothing_of_a_stream_of_nan(oracle: Oracle, left: str) -> None:
    prompt, longer = oracle.prompt(LARGE, streaming_text=True), oracle.prompt(LARGE)
    stepper = FrameStepper(oracle.weights, slots=1, positions=128)
    stepper.open(0, replace(longer, embeddings=torch.full_like(longer.embeddings, torch.nan)), GREEDY)
    stepper.prefill({0: len(longer.embeddings) - (left == "in the middle of its prompt")})
    if not stepper.unprefilled(0):
        stepper.step([0])
    stepper.release(0)
    stepper.start(0, prompt, GREEDY)
    assert len(prompt.embeddings) < len(longer.embeddings) - 1
    assert torch.equal(torch.stack(list(step_solo(stepper, 0, 3))), oracle.codes(prompt, frames=3))


def test_prompt_that_fills_its_slot_is_rejected_and_takes_no_slot(oracle: Oracle) -> None:
    prompt = oracle.prompt(LARGE)
    tokens = len(prompt.embeddings)
    stepper = FrameStepper(oracle.weights, slots=1, positions=tokens)
    with pytest.raises(ValueError, match=f"{tokens} tokens"):
        stepper.start(0, prompt, GREEDY)
    with pytest.raises(ValueError, match="not in use"):
        stepper.release(0)


def test_step_beyond_the_last_position_is_rejected(oracle: Oracle) -> None:
    prompt = oracle.prompt(LARGE)
    stepper = FrameStepper(oracle.weights, slots=2, positions=len(prompt.embeddings) + 1)
    stepper.start(1, prompt, GREEDY)
    stepper.step([1])
    with pytest.raises(ValueError, match="all its"):
        stepper.step([1])


@pytest.mark.parametrize("slot", [-1, 1, 2])
def test_only_a_free_slot_can_be_started(oracle: Oracle, slot: int) -> None:
    stepper = FrameStepper(oracle.weights, slots=2, positions=128)
    stepper.start(1, oracle.prompt(LARGE), GREEDY)
    with pytest.raises(ValueError, match="not free"):
        stepper.start(slot, oracle.prompt(LARGE), GREEDY)


def test_only_a_slot_in_use_can_be_stepped(oracle: Oracle) -> None:
    with pytest.raises(ValueError, match="not in use"):
        FrameStepper(oracle.weights, slots=2, positions=128).step([0])


def test_only_a_prefilled_stream_can_be_stepped(oracle: Oracle) -> None:
    prompt = oracle.prompt(LARGE)
    stepper = FrameStepper(oracle.weights, slots=1, positions=128)
    stepper.open(0, prompt, GREEDY)
    stepper.prefill({0: len(prompt.embeddings) - 2})
    with pytest.raises(ValueError, match="2 prompt tokens"):
        stepper.step([0])


@pytest.mark.parametrize("tokens", [-1, 0, 10_000])
def test_prefill_of_too_many_tokens_is_rejected_before_any_work(oracle: Oracle, tokens: int) -> None:
    prompt = oracle.prompt(LARGE)
    stepper = FrameStepper(oracle.weights, slots=2, positions=128)
    for slot in (0, 1):
        stepper.open(slot, prompt, GREEDY)
    with pytest.raises(ValueError, match="slot 1 has"):
        stepper.prefill({0: 1, 1: tokens})
    assert [stepper.unprefilled(slot) for slot in (0, 1)] == [len(prompt.embeddings)] * 2
