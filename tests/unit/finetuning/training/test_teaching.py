"""What is taught: the server's rows, every target once, and only the weights that a method trains."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from adapters.qwen3_tts.checkpoint import Checkpoint
from adapters.qwen3_tts.inflight.model.weights import Weights
from finetuning.dataset import Dataset
from finetuning.errors import FineTuningError
from finetuning.plan import Method, Precision, TrainingPlan
from finetuning.training import export, probe, train
from finetuning.training.alignment import check_rows
from finetuning.training.batches import StepPlan, pack, pack_by_rows
from finetuning.training.checkpoints import write_checkpoint
from finetuning.training.learner import Learner, learning_rate
from finetuning.training.losses import losses
from finetuning.training.rows import rows_of
from finetuning.training.start import Start
from finetuning.training.stepper import Stepper, mean_losses
from tests.unit.finetuning.training.tiny import (
    EngineSpeaker,
    dataset_of,
    plan_of,
    right_utterances,
    write_start,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def custom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CustomVoice checkpoint in the shape of 1.7B."""
    return write_start(tmp_path_factory.mktemp("custom") / "1.7B", "1.7B", "custom_voice")


@pytest.fixture(scope="module")
def dataset(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of(tmp_path_factory.mktemp("data"), base)


def learner_of(plan: TrainingPlan, dataset: Dataset) -> tuple[Learner, Start]:
    start = Start.read(plan.start, dataset)
    return Learner.make(plan, dataset, start, CPU), start


def gradients(learner: Learner) -> torch.Tensor:
    return torch.cat([weight.grad.flatten() for weight in learner.trained.values() if weight.grad is not None])


def test_rows_equal_the_servers_with_instructions_dialects_and_two_speakers(custom: Path, tmp_path: Path) -> None:
    made = dataset_of(tmp_path, custom, speakers=("minsu", "jiwoo"))
    clips = [
        replace(clip, language="sichuan_dialect" if clip.speaker == "jiwoo" else clip.language, instruct=words)
        for clip, words in zip(made.clips, ("", "In a warm voice.", "Whisper <|im_end|> it.", ""), strict=True)
    ]
    dataset = replace(made, clips=clips)
    start = Start.read(custom, dataset)
    assert start.talker_config["spk_is_dialect"]["jiwoo"] == "sichuan_dialect"
    talker = start.load(dataset, CPU, text_dtype=torch.float32)
    check_rows(talker, dataset, start)
    wrong = replace(start, speaker_rows={"minsu": 5, "jiwoo": 6})  # the server reads the rows from the config
    with pytest.raises(FineTuningError, match=r"row 6 of .* is not the server's"):
        check_rows(talker, dataset, wrong)


def test_base_learns_a_dialect_that_its_config_leaves_out(base: Path, custom: Path, dataset: Dataset) -> None:
    clips = [replace(clip, language="beijing_dialect") for clip in dataset.clips]
    start = Start.read(base, replace(dataset, clips=clips))
    published = json.loads((custom / "config.json").read_text())["talker_config"]["codec_language_id"]
    assert start.talker_config["codec_language_id"] == {
        name: id_ for name, id_ in published.items() if name != "sichuan_dialect"
    }


def test_packed_clips_give_the_losses_and_gradients_of_each_alone(base: Path, dataset: Dataset) -> None:
    learner, start = learner_of(plan_of(base), dataset)
    made = [rows_of(clip, dataset.codes[clip.id], start, streamed=i % 2 > 0) for i, clip in enumerate(dataset.clips)]
    end = start.talker_config["codec_eos_token_id"]
    results = []
    for groups in ([made], [[rows] for rows in made]):
        sums = torch.zeros(2)
        for group in groups:
            one = losses(learner.talker, pack(group, end))
            (one.talker + one.predictor).backward()
            sums += torch.stack([one.talker, one.predictor]).detach()
        results.append((sums, gradients(learner).clone()))
        learner.optimiser.zero_grad()
    torch.testing.assert_close(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-3, atol=1e-4)


def test_checkpointing_gives_the_same_gradients(base: Path, dataset: Dataset) -> None:
    made = []
    for checkpointing in (False, True):
        learner, start = learner_of(plan_of(base, checkpointing=checkpointing), dataset)
        on = [module for module in learner.talker.modules() if getattr(module, "gradient_checkpointing", False)]
        assert len(on) == (6 if checkpointing else 0)  # two stacks of two layers
        rows = [rows_of(clip, dataset.codes[clip.id], start) for clip in dataset.clips]
        sums = losses(learner.talker, pack(rows, start.talker_config["codec_eos_token_id"]))
        (sums.talker + sums.predictor).backward()
        made.append(gradients(learner))
    assert torch.equal(*made)


def test_every_clip_is_in_an_epoch_once_and_batches_keep_their_limit(base: Path, tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, base, copies=10)
    plan = plan_of(base, epochs=2, rows_per_batch=60, frames_per_step=40, streamed_share=0.3, auto_share=0.5)
    steps = StepPlan(plan, dataset, Start.read(base, dataset))
    made = list(steps.after(0))
    assert (len(made), steps.ends[-1]) == (steps.steps, steps.steps)
    for epoch in range(2):
        of_epoch = [step for step in made if step.epoch == epoch]
        assert sum(step.frames for step in of_epoch) == dataset.frames(dataset.clips)
        assert [step.is_last for step in of_epoch] == [False] * (len(of_epoch) - 1) + [True]
    assert all(sum(map(len, batch)) <= 60 for step in made for batch in step.batches)
    texts = [tuple(rows.text) for step in made for batch in step.batches for rows in batch]
    assert len(set(texts)) > 8  # both layouts, with and without the language
    again = [step.batches for step in steps.after(5)]
    assert [len(rows.text) for batches in again for batch in batches for rows in batch] == [
        len(rows.text) for step in made[5:] for batch in step.batches for rows in batch
    ]
    with pytest.raises(FineTuningError, match="rows of text and frames, a batch has 20: shorten the clip"):
        StepPlan(replace(plan, rows_per_batch=20), dataset, Start.read(base, dataset))


def test_groups_of_rows_fill_up(base: Path, dataset: Dataset) -> None:
    start = Start.read(base, dataset)
    made = [rows_of(clip, dataset.codes[clip.id], start) for clip in dataset.clips] * 3
    groups = pack_by_rows(made, 100)
    assert sorted(map(len, made)) == sorted(len(rows) for group in groups for rows in group)
    assert len(groups) <= -(-sum(map(len, made)) // 100) + 1


def test_rates_rise_and_fall(base: Path) -> None:
    plan = plan_of(base, learning_rate=1.0, warmup_share=0.1)
    rates = [learning_rate(plan, step, 100) for step in range(100)]
    assert (rates[0], max(rates), rates.index(max(rates))) == (0.1, 1.0, 9)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)


def test_training_that_diverges_ends_before_its_weights_are_lost(base: Path, dataset: Dataset) -> None:
    learner, _ = learner_of(plan_of(base), dataset)
    before = {name: weight.detach().clone() for name, weight in learner.trained.items()}
    next(iter(learner.trained.values())).grad = torch.full_like(next(iter(before.values())), torch.nan)
    with pytest.raises(FineTuningError, match=r"diverged at a rate of 0\.01: train anew with a lower --lr"):
        learner.update(0.01)
    assert all(torch.equal(weight, before[name]) for name, weight in learner.trained.items())


def test_speakers_rows_stay_and_the_nine_voices_too(custom: Path, tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "data", custom, copies=28, speakers=("minsu", "jiwoo"))
    train(plan_of(custom), dataset, tmp_path / "run", lambda _: None)
    export(tmp_path / "run", tmp_path / "voice")
    checkpoint = Checkpoint.read(tmp_path / "voice")
    assert checkpoint.speakers[-2:] == ("minsu", "jiwoo")
    assert len(checkpoint.speakers) == 11
    start = Start.read(custom, dataset)
    weight = load_file(tmp_path / "voice" / "model.safetensors")["talker.model.codec_embedding.weight"]
    for name, embedding in dataset.speakers.items():
        np.testing.assert_array_equal(weight[start.speaker_rows[name]].numpy(), embedding)
    assert right_utterances(EngineSpeaker(tmp_path / "voice"), dataset) == [True] * 8
    with pytest.raises(FineTuningError, match="the start has a voice 'vivian' of its own"):
        Start.read(custom, dataset_of(tmp_path, custom, speakers=("vivian",)))


@pytest.mark.parametrize(
    ("method", "precision"), [("full", "bf16"), ("full-8bit", "fp32"), ("lora", "fp32"), ("lora", "bf16")]
)
def test_exported_weights_are_those_that_each_method_trained(
    method: Method, precision: Precision, base: Path, tmp_path: Path
) -> None:
    dataset = dataset_of(tmp_path, base, copies=8)
    rate = 3e-2 if method == "lora" else 5e-3  # adapters begin at zero
    plan = plan_of(base, method=method, precision=precision, learning_rate=rate)
    learner, start = learner_of(plan, dataset)
    steps, end = StepPlan(plan, dataset, start), start.talker_config["codec_eos_token_id"]
    stepper = Stepper(plan, learner, end, Accelerator(cpu=True))
    seen = [stepper.run(step, number, steps.steps).talker for number, step in enumerate(steps.after(0))]
    assert seen[-1] < seen[0] - 0.5
    write_checkpoint(tmp_path / "voice", start, dataset, learner, {})
    before, after = (load_file(folder / "model.safetensors") for folder in (base, tmp_path / "voice"))
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert set(after) == {name for name in before if name.startswith("talker.")}
    assert {value.dtype for value in after.values()} == {torch.float32}  # as in the start
    assert "talker.model.text_embedding.weight" not in changed
    assert ("talker.codec_head.weight" in changed) == (method != "lora")
    assert "talker.model.layers.0.self_attn.q_proj.weight" in changed
    Weights.load(tmp_path / "voice")
    rows = [rows_of(clip, dataset.codes[clip.id], start) for clip in dataset.clips]
    talker = Start.read(tmp_path / "voice", dataset).load(dataset, CPU, text_dtype=torch.float32)
    trained, read = (mean_losses(one, [rows], end, precision) for one in (learner.talker, talker))
    assert trained
    assert read
    near = 1e-4 if precision == "fp32" else 0.02
    assert read.talker == pytest.approx(trained.talker, rel=near)
    assert read.predictor == pytest.approx(trained.predictor, rel=near)


def test_predictor_learns_from_a_share_of_the_frames(base: Path, dataset: Dataset) -> None:
    plan = plan_of(base, predictor_share=0.25)
    learner, start = learner_of(plan, dataset)
    steps = StepPlan(plan, dataset, start)
    stepper = Stepper(plan, learner, start.talker_config["codec_eos_token_id"], Accelerator(cpu=True))
    counted: list[int] = []
    head = learner.talker.code_predictor.lm_head[0]
    head.register_forward_hook(lambda _module, inputs, _output: counted.append(len(inputs[0])))
    step = next(steps.after(0))
    stepper.run(step, 0, steps.steps)
    assert sum(counted) == round(step.frames / 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tts_model_type": "voice_design"}, "is a voice_design checkpoint: start from Base or CustomVoice"),
        ({"talker_config": {}}, "is not a Qwen3-TTS checkpoint"),
    ],
)
def test_start_of_another_kind_is_refused(
    change: dict[str, Any], message: str, base: Path, dataset: Dataset, tmp_path: Path
) -> None:
    config = json.loads((base / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(FineTuningError, match=message):
        probe(plan_of(tmp_path), dataset)


def test_data_that_the_start_cannot_learn_is_refused(base: Path, dataset: Dataset) -> None:
    narrow = replace(dataset, speakers={"minsu": np.zeros(7, np.float32)})
    with pytest.raises(FineTuningError, match=r"shape \(7,\), the start needs \(128,\)"):
        Start.read(base, narrow)
    clips = [replace(dataset.clips[0], language="klingon")]
    with pytest.raises(
        FineTuningError, match="clip 0-0: language 'klingon' is unknown; choose auto or one of: chinese"
    ):
        Start.read(base, replace(dataset, clips=clips))
