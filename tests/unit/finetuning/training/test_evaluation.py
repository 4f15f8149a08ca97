"""A state of the weights is judged by held-out losses and by ears; the best epoch is chosen by both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from finetuning.dataset import Dataset
from finetuning.errors import FineTuningError
from finetuning.events import Evaluated, Event, Judged, Losses, Scores, Warned
from finetuning.training import evaluate, train
from finetuning.training.history import choose, epochs_without_gain, read_history
from tests.unit.finetuning.training.tiny import FRAMES, TEXTS, Voice, dataset_of, plan_of

SECOND = 24_000


class Ears:
    """Understands nothing but the length: a character a tenth of a second; a voice is the sign of its first sample."""

    def __init__(self) -> None:
        self.lengths: list[int] = []

    def transcribe(self, audio: Sequence[np.ndarray], language: str) -> list[str]:
        self.lengths += map(len, audio)
        return ["x" * (len(samples) // 2_400) for samples in audio]

    def character_errors(self, heard: str, meant: str) -> tuple[int, int]:
        return abs(len(heard) - len(meant)), len(meant)

    def embed(self, audio: Sequence[np.ndarray]) -> np.ndarray:
        return np.array([[1.0, 0.0] for _ in audio], np.float32)


class DeafEars(Ears):
    def embed(self, audio: Sequence[np.ndarray]) -> np.ndarray:
        raise FineTuningError("what was spoken cannot be judged: no network")


def with_audio(dataset: Dataset) -> Dataset:
    dataset.folder.mkdir(exist_ok=True)
    soundfile.write(dataset.folder / "clip.wav", np.full(SECOND, 0.1, np.float32), SECOND)
    return replace(dataset, clips=[replace(clip, audio="clip.wav") for clip in dataset.clips])


@pytest.fixture(scope="module")
def judged(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    """A run with a held-out clip, and its events."""
    folder = tmp_path_factory.mktemp("judged")
    dataset = with_audio(dataset_of(folder / "data", base, copies=12, held_out=1))
    events: list[Event] = []
    plan = plan_of(base, evaluations_per_epoch=2)
    train(plan, dataset, folder / "run", events.append, Ears())
    return folder / "run", events


def test_history_begins_with_the_start_and_cloning(judged: tuple[Path, list[Event]]) -> None:
    run, events = judged
    history = read_history(run)
    assert [scores.name for scores in history] == ["start", "cloning", "epoch 0.55", "epoch 1"]
    assert history == [event.scores for event in events if isinstance(event, Evaluated)]
    start, cloning, half, end = history
    assert cloning.losses is half.judged is None
    losses = [scores.losses.talker for scores in (start, half, end) if scores.losses]
    assert losses == sorted(losses, reverse=True)
    assert len(losses) == 3
    for scores in (start, cloning, end):
        assert scores.judged
        assert scores.judged.sentences == 1
        assert scores.judged.similarity == pytest.approx(1)
        assert scores.judged.character_error_rate is not None
        (file,) = (run / "samples" / scores.name.replace(" ", "-")).iterdir()
        frames = len(soundfile.read(file)[0]) / 1920
        assert scores.judged.pace == pytest.approx(frames / len(TEXTS[0]) / (sum(FRAMES) / len("".join(TEXTS))))


def test_voice_that_learned_by_heart_scores_well(voice: Voice, tmp_path: Path) -> None:
    clips = [replace(clip, held_out=clip.id.endswith("-0")) for clip in voice.dataset.clips]
    dataset = with_audio(replace(voice.dataset, folder=tmp_path / "data", clips=clips))
    ears = Ears()
    scores = evaluate(voice.folder, dataset, tmp_path / "samples", ears)
    assert scores.losses
    assert scores.losses.talker < 0.05
    assert scores.losses.talker_accuracy == scores.losses.predictor_accuracy == 1
    assert scores.judged
    assert scores.judged.ended == 1
    assert scores.judged.pace == pytest.approx(1, abs=0.4)  # codes are drawn, and some at random
    assert len(ears.lengths) == scores.judged.sentences == 4


def test_judge_that_fails_is_told_and_leaves_the_rest(voice: Voice, tmp_path: Path) -> None:
    clips = [replace(clip, held_out=clip.id == "0-0") for clip in voice.dataset.clips]
    dataset = with_audio(replace(voice.dataset, folder=tmp_path / "data", clips=clips))
    events: list[Event] = []
    scores = evaluate(voice.folder, dataset, tmp_path / "samples", DeafEars(), on_event=events.append)
    assert scores.judged
    assert (scores.judged.similarity, scores.judged.ended) == (None, 1)
    assert events == [Warned("what was spoken cannot be judged: no network")]


def test_checkpoint_without_the_speaker_is_refused(base: Path, voice: Voice, tmp_path: Path) -> None:
    with pytest.raises(FineTuningError, match="has no voice 'minsu'"):
        evaluate(base, voice.dataset, tmp_path)


def epoch(number: int, loss: float, errors: float | None = 0.03, pace: float = 1.0) -> Scores:
    judged = Judged(8, 0.7, errors, pace, 1.0)
    return Scores(f"epoch {number}", number * 10, number, Losses(loss, loss, 0.5, 0.5), judged)


@pytest.mark.parametrize(
    ("epochs", "chosen", "reason"),
    [
        ([epoch(1, 5.0), epoch(2, 4.5), epoch(3, 4.8)], 2, r"the lowest held-out loss, 4\.500"),
        ([epoch(1, 5.0), epoch(2, 4.5, errors=0.06)], 1, r"without epoch 2"),
        ([epoch(1, 5.0), epoch(2, 4.5, pace=1.2)], 1, r"without epoch 2"),
        ([epoch(1, 5.0, pace=0.5), epoch(2, 4.5, pace=2.0)], 2, r"though no epoch speaks as clearly"),
        ([epoch(1, 5.0, errors=None), epoch(2, 4.5, errors=None)], 2, r"the lowest held-out loss"),
    ],
)
def test_epoch_with_the_lowest_loss_that_speaks_well_is_chosen(epochs: list[Scores], chosen: int, reason: str) -> None:
    made = choose(epochs, kept={1, 2, 3})
    assert made.epoch == chosen
    assert re.search(reason, made.reason)


def test_epochs_without_gain_are_counted() -> None:
    assert epochs_without_gain([]) == 0
    assert epochs_without_gain([epoch(1, 5.0), epoch(2, 4.0), epoch(3, 4.1), epoch(4, 4.2)]) == 2
    assert choose([epoch(1, 5.0), epoch(2, 4.0)], kept={1}).epoch == 1
