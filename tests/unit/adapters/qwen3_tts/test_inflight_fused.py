"""The frame by kernels and as graphs: the same codes as in plain torch, and work that may be captured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from adapters.qwen3_tts.inflight import fused
from adapters.qwen3_tts.inflight.batch import Batch
from adapters.qwen3_tts.inflight.frame import FrameStepper
from adapters.qwen3_tts.inflight.prompt import PromptBuilder
from adapters.qwen3_tts.inflight.sampling import Sampling
from adapters.qwen3_tts.inflight.weights import Weights
from tests.unit.adapters.qwen3_tts.company import Alone, speak_in_company
from tests.unit.adapters.qwen3_tts.fused_stand_ins import StandInDecoder, StandInSampler
from tests.unit.adapters.qwen3_tts.oracle import GREEDY, Oracle, codes_of, step_alone
from tests.unit.adapters.qwen3_tts.traced_graphs import TracedGraphs
from tools.tiny_models.qwen3_tts import write_checkpoint
from tools.tiny_models.shapes import SHAPES


@contextmanager
def stand_ins() -> Iterator[None]:
    """Plain torch in the place of kernels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "FusedDecoder", StandInDecoder)
        patch.setattr(fused, "FusedSampler", StandInSampler)
        yield


@given(random=st.integers(0, 2**32 - 1).map(Random))
@settings(max_examples=3, deadline=None, database=None)
@stand_ins()
def test_whoever_joins_and_leaves_it_is_the_same_work_on_the_same_memory(
    alone: list[Alone], oracle: Oracle, random: Random
) -> None:
    stepper = FrameStepper(oracle.weights, slots=5, positions=128, fused=True, graphs=TracedGraphs())
    speak_in_company(stepper, alone, random)


@given(random=st.integers(0, 2**32 - 1).map(Random))
@settings(max_examples=8, deadline=None, database=None)
@stand_ins()
def test_without_graphs_the_same_work_is_done_one_operation_after_the_other(
    alone: list[Alone], oracle: Oracle, random: Random
) -> None:
    speak_in_company(FrameStepper(oracle.weights, slots=5, positions=128, fused=True), alone, random)


@stand_ins()
def test_all_work_is_captured_before_there_is_any_and_no_stream_knows_of_it(alone: list[Alone], oracle: Oracle) -> None:
    graphs = TracedGraphs()
    stepper = FrameStepper(oracle.weights, slots=5, positions=300, fused=True, graphs=graphs)
    stream, heard = alone[0], []
    stepper.prefill(1, stream.prompt, stream.sampling)
    before = list(step_alone(stepper, 1, 2))
    stepper.capture(lambda done, of: heard.append((done, of)))
    after = list(step_alone(stepper, 1, 3))
    assert torch.equal(torch.stack(before + after), stream.codes[:5])
    assert heard == [(number, 7) for number in range(1, 8)]
    batches = {(what, rows) for what in ("begin", "frame") for rows in (1, 2, 4, 5)}
    assert set(graphs.traces) == batches | {("read", tokens) for tokens in (16, 64, 256)}
    stepper.release(1)
    speak_in_company(stepper, alone, Random(0))
    assert len(graphs) == 11


@stand_ins()
def test_a_frame_is_as_many_operations_for_any_batch_and_none_that_waits(oracle: Oracle) -> None:
    graphs = TracedGraphs()  # which refuses to wait
    FrameStepper(oracle.weights, slots=5, positions=128, fused=True, graphs=graphs).capture(lambda done, of: None)
    assert len({len(trace) for (what, _), trace in graphs.traces.items() if what == "frame"}) == 1


@stand_ins()
def test_rows_that_fill_a_batch_up_never_attend_to_more_than_one_position(
    alone: list[Alone], oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepper = FrameStepper(oracle.weights, slots=4, positions=128, fused=True)
    for slot, stream in enumerate(alone[:3]):
        stepper.prefill(slot, stream.prompt, stream.sampling)
    stepper.step([0, 1, 2])
    talker, ends = stepper._device._talker, []

    def noted(x: Tensor, batch: Batch, positions: Tensor, span: int, step: Any = talker.step) -> Tensor:
        ends.append(positions[batch.slots == stepper.slots].tolist())
        hidden: Tensor = step(x, batch, positions, span)
        return hidden

    monkeypatch.setattr(talker, "step", noted)
    for _ in range(5):
        stepper.step([0, 1, 2])
    assert ends == [[0]] * 5


@stand_ins()
def test_a_prompt_that_is_no_numbers_stays_with_its_own_stream(alone: list[Alone], oracle: Oracle) -> None:
    stepper = FrameStepper(oracle.weights, slots=3, positions=128, fused=True, graphs=TracedGraphs())
    broken = replace(alone[0].prompt, embeddings=torch.full_like(alone[0].prompt.embeddings, torch.nan))
    stepper.prefill(2, broken, GREEDY)  # where later prompts are read, they follow it and are shorter
    for slot, stream in enumerate(alone[4:6]):
        stepper.prefill(slot, stream.prompt, stream.sampling)
    frames = [stepper.step([0, 1, 2]).codes.clone() for _ in range(5)]
    for slot, stream in enumerate(alone[4:6]):
        assert torch.equal(torch.stack(frames)[:, slot], stream.codes[:5])


def test_by_the_kernels_themselves_the_codes_are_the_same_and_the_work_too(tmp_path: Path) -> None:
    """On a CPU they run in their language's interpreter, which takes its time: so one layer, and few frames."""
    shape = SHAPES["tiny"]["1.7B"]
    talker, predictor = replace(shape.talker, layers=1), replace(shape.predictor, layers=1)
    write_checkpoint(tmp_path, "custom_voice", replace(shape, talker=talker, predictor=predictor))
    weights = Weights.load(tmp_path)
    build = PromptBuilder(weights).build
    prompts = [build("One, two.", speaker="ryan", streaming_text=True), build("Three.", speaker="eric")]
    samplings = [GREEDY, Sampling(top_p=0.9, seed=1)]
    stepper = FrameStepper(weights, slots=2, positions=64, fused=True, graphs=TracedGraphs())
    frames: list[list[Tensor]] = [[], []]
    stepper.prefill(1, prompts[0], samplings[0])
    frames[0].append(stepper.step([1]).codes[0].clone())
    stepper.open(0, prompts[1], samplings[1])
    for tokens in (3, stepper.unread(0) - 3):
        stepper.read({0: tokens})
        frames[0].append(stepper.step([1]).codes[0].clone())
    for _ in range(2):
        codes = stepper.step([0, 1]).codes.clone()
        frames[0].append(codes[1])
        frames[1].append(codes[0])
    for prompt, sampling, spoken in zip(prompts, samplings, frames, strict=True):
        assert torch.equal(torch.stack(spoken), codes_of(weights, prompt, sampling, frames=len(spoken)))
