"""The fused backend and its graphs: the same codes as in plain torch, and work that can be captured."""

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

from adapters.qwen3_tts.inflight.model import fused_backend
from adapters.qwen3_tts.inflight.model.batch import Batch
from adapters.qwen3_tts.inflight.model.prompt import PromptBuilder
from adapters.qwen3_tts.inflight.model.prompt_prefix import PromptPrefix
from adapters.qwen3_tts.inflight.model.sampling_params import SamplingParams
from adapters.qwen3_tts.inflight.model.stepper import FrameStepper
from adapters.qwen3_tts.inflight.model.weights import Weights
from tests.unit.adapters.qwen3_tts.model.isolation import SoloRun, run_together
from tests.unit.adapters.qwen3_tts.model.kernel_stand_ins import StandInDecoder, StandInRowSampler
from tests.unit.adapters.qwen3_tts.oracle import GREEDY, Oracle, codes_of, step_solo
from tests.unit.adapters.qwen3_tts.traced_graphs import TracedGraphs
from tools.tiny_models.qwen3_tts import write_checkpoint
from tools.tiny_models.shapes import SHAPES


@contextmanager
def stand_ins() -> Iterator[None]:
    """Replace the kernels by plain torch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused_backend, "FusedDecoder", StandInDecoder)
        patch.setattr(fused_backend, "FusedRowSampler", StandInRowSampler)
        yield


@given(random=st.integers(0, 2**32 - 1).map(Random))
@settings(max_examples=3, deadline=None, database=None)
@stand_ins()
def test_traced_graphs_see_the_same_work_on_the_same_memory_for_any_streams(
    solo_runs: list[SoloRun], oracle: Oracle, random: Random
) -> None:
    stepper = FrameStepper(oracle.weights, slots=5, positions=128, fused=True, graphs=TracedGraphs())
    run_together(stepper, solo_runs, random)


@given(random=st.integers(0, 2**32 - 1).map(Random))
@settings(max_examples=8, deadline=None, database=None)
@stand_ins()
def test_streams_are_the_same_without_graphs(solo_runs: list[SoloRun], oracle: Oracle, random: Random) -> None:
    run_together(FrameStepper(oracle.weights, slots=5, positions=128, fused=True), solo_runs, random)


@stand_ins()
def test_capture_covers_all_work_and_changes_no_stream(solo_runs: list[SoloRun], oracle: Oracle) -> None:
    graphs = TracedGraphs()
    stepper = FrameStepper(oracle.weights, slots=5, positions=300, fused=True, graphs=graphs)
    stream, progress = solo_runs[0], []
    stepper.start(1, stream.prompt, stream.sampling)
    before = list(step_solo(stepper, 1, 2))
    stepper.capture(lambda done, total: progress.append((done, total)))
    after = list(step_solo(stepper, 1, 3))
    assert torch.equal(torch.stack(before + after), stream.codes[:5])
    assert progress == [(number, 7) for number in range(1, 8)]
    batches = {(what, rows) for what in ("begin", "frame") for rows in (1, 2, 4, 5)}
    assert set(graphs.traces) == batches | {("prefill", tokens) for tokens in (16, 64, 256)}
    stepper.release(1)
    run_together(stepper, solo_runs, Random(0))
    assert len(graphs) == 11


@stand_ins()
def test_frame_has_equally_many_operations_for_any_batch_and_none_that_waits(oracle: Oracle) -> None:
    graphs = TracedGraphs()  # which rejects work that waits
    FrameStepper(oracle.weights, slots=5, positions=128, fused=True, graphs=graphs).capture(lambda done, total: None)
    assert len({len(trace) for (what, _), trace in graphs.traces.items() if what == "frame"}) == 1


@stand_ins()
def test_padding_rows_attend_to_one_position(
    solo_runs: list[SoloRun], oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepper = FrameStepper(oracle.weights, slots=4, positions=128, fused=True)
    for slot, stream in enumerate(solo_runs[:3]):
        stepper.start(slot, stream.prompt, stream.sampling)
    stepper.step([0, 1, 2])
    talker, ends = stepper._runner._talker, []

    def noted(x: Tensor, batch: Batch, positions: Tensor, span: int, step: Any = talker.step) -> Tensor:
        ends.append(positions[batch.slots == stepper.slots].tolist())
        hidden: Tensor = step(x, batch, positions, span)
        return hidden

    monkeypatch.setattr(talker, "step", noted)
    for _ in range(5):
        stepper.step([0, 1, 2])
    assert ends == [[0]] * 5


@stand_ins()
def test_nan_prompt_affects_only_its_own_stream(solo_runs: list[SoloRun], oracle: Oracle) -> None:
    stepper = FrameStepper(oracle.weights, slots=3, positions=128, fused=True, graphs=TracedGraphs())
    broken = replace(solo_runs[0].prompt, embeddings=torch.full_like(solo_runs[0].prompt.embeddings, torch.nan))
    stepper.start(2, broken, GREEDY)  # later prompts are prefilled in the same memory, and are shorter
    for slot, stream in enumerate(solo_runs[4:6]):
        stepper.start(slot, stream.prompt, stream.sampling)
    frames = [stepper.step([0, 1, 2]).codes.clone() for _ in range(5)]
    for slot, stream in enumerate(solo_runs[4:6]):
        assert torch.equal(torch.stack(frames)[:, slot], stream.codes[:5])


def test_real_kernels_give_the_same_codes_and_the_same_work(tmp_path: Path) -> None:
    """On a CPU the kernels run in the interpreter, which is slow: hence one layer, and few frames."""
    shape = SHAPES["tiny"]["1.7B"]
    talker, predictor = replace(shape.talker, layers=1), replace(shape.predictor, layers=1)
    write_checkpoint(tmp_path, "custom_voice", replace(shape, talker=talker, predictor=predictor))
    weights = Weights.load(tmp_path)
    build = PromptBuilder(weights).build
    shared = PromptPrefix(4)
    prompts = [
        replace(build("One, two.", speaker="ryan", streaming_text=True), prefix=shared),
        build("Three.", speaker="eric"),
    ]
    samplings = [GREEDY, SamplingParams(top_p=0.9, seed=1)]
    stepper = FrameStepper(weights, slots=2, positions=64, fused=True, graphs=TracedGraphs())
    frames: list[list[Tensor]] = [[], []]
    stepper.start(1, prompts[0], samplings[0])
    frames[0].append(stepper.step([1]).codes[0].clone())
    stepper.open(0, prompts[1], samplings[1])
    for tokens in (3, stepper.unprefilled(0) - 3):
        stepper.prefill({0: tokens})
        frames[0].append(stepper.step([1]).codes[0].clone())
    for _ in range(2):
        codes = stepper.step([0, 1]).codes.clone()
        frames[0].append(codes[1])
        frames[1].append(codes[0])
    stepper.release(1)
    assert shared.keys_values is not None
    stepper.start(1, prompts[0], samplings[0])  # from the prefix that is held now
    assert torch.equal(stepper.step([1]).codes[0], frames[0][0])
    for prompt, sampling, own_frames in zip(prompts, samplings, frames, strict=True):
        assert torch.equal(torch.stack(own_frames), codes_of(weights, prompt, sampling, frames=len(own_frames)))
