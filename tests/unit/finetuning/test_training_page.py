"""The page of a training shows its losses and its judgements against the start."""

from __future__ import annotations

from pathlib import Path

from finetuning.events import Judged, Losses, Progress, Scores
from finetuning.training_page import scores_line, training_page

HISTORY = [
    Scores("start", 0, 0.0, Losses(6.0, 7.2, 0.1, 0.05), Judged(4, 0.31, 0.02, 1.1, 1.0)),
    Scores("cloning", 0, 0.0, None, Judged(4, 0.55, 0.03, 1.05, 1.0)),
    Scores("epoch 0.50", 5, 0.5, Losses(5.5, 7.0, 0.2, 0.06)),
    Scores("epoch 1", 10, 1.0, Losses(5.1, 6.8, 0.3, 0.07), Judged(4, 0.71, 0.025, 1.01, 0.75)),
]
STEPS = [Progress(step, 500, step / 500, Losses(5, 6, 0.1, 0.1), 1e-5, 900.0, 3.0) for step in range(1, 501)]


def test_page_has_the_plots_the_table_and_the_choice(tmp_path: Path) -> None:
    spoken = tmp_path / "run" / "samples" / "epoch-1" / "0.wav"
    spoken.parent.mkdir(parents=True)
    spoken.touch()
    page = training_page("minsu", HISTORY, STEPS, "Epoch 1 is chosen: <why>.", tmp_path / "run" / "samples")
    assert page.count("<svg") == 5
    assert "Epoch 1 is chosen: &lt;why&gt;." in page
    assert "<td>cloning<td><td><td>0.55<td>3.0 %" in page
    assert 'src="run/samples/epoch-1/0.wav"' in page
    assert page.count("stroke-dasharray") == 6
    assert "http" not in page


def test_page_of_a_training_without_judgements_has_only_losses(tmp_path: Path) -> None:
    history = [Scores("epoch 1", 10, 1.0, None)]
    page = training_page("minsu", history, STEPS[:1], "", tmp_path)
    assert page.count("<svg") == 1
    assert "NaN" not in page


def test_scores_are_told_in_a_line() -> None:
    assert scores_line(HISTORY[3]) == (
        "epoch 1: talker 5.100, predictor 6.800, similarity 0.71, CER 2.5 %, pace 1.01, ended 75 %"
    )
    assert scores_line(Scores("epoch 1", 1, 1.0, None)) == "epoch 1: nothing is held out to judge by"
