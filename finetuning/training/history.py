"""`history.jsonl`: the scores of a run, and the choice among its epochs."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from finetuning.events import Chosen, Judged, Losses, Scores
from finetuning.training.checkpoints import appearing

HISTORY = "history.jsonl"
_SPARE_ERRORS = 0.02
"""The character error rate by which the chosen epoch may be worse than the best."""
_SPARE_PACE = 0.15
"""The share by which the chosen epoch may be slower or faster than the data."""


def read_history(run: Path) -> list[Scores]:
    """Return the lines of a run's history, in their order."""
    path = run / HISTORY
    return [_scores(json.loads(line)) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def write_history(run: Path, history: Iterable[Scores]) -> None:
    """Replace a run's history."""
    with appearing(run / HISTORY) as fresh:
        fresh.write_text("".join(json.dumps(asdict(scores)) + "\n" for scores in history), encoding="utf-8")


def epochs_of(history: Sequence[Scores]) -> list[Scores]:
    """Return the lines of whole epochs."""
    return [scores for scores in history if scores.name.startswith("epoch") and scores.epoch == int(scores.epoch)]


def epochs_without_gain(history: Sequence[Scores]) -> int:
    """Return the number of epochs since the one with the lowest held-out loss of the talker."""
    values = [scores.losses.talker for scores in epochs_of(history) if scores.losses]
    return len(values) - 1 - values.index(min(values)) if values else 0


def choose(history: Sequence[Scores], kept: Collection[int]) -> Chosen:
    """Choose the epoch with the lowest held-out loss among the `kept` ones that speak well, and give the reason."""
    epochs = [scores for scores in epochs_of(history) if round(scores.epoch) in kept]
    if not all(scores.losses for scores in epochs):
        last = epochs[-1]
        return Chosen(round(last.epoch), "the last epoch, because no clip is held out to judge by")
    fit = [scores for scores in epochs if _speaks_well(scores, epochs)] or epochs
    best = min(fit, key=_loss)
    number, reason = round(best.epoch), f"the lowest held-out loss, {_loss(best):.3f}"
    if len(fit) < len(epochs):
        left_out = ", ".join(str(round(scores.epoch)) for scores in epochs if scores not in fit)
        reason += f", among the epochs that speak as clearly and as fast as the data (without epoch {left_out})"
    elif best.judged and not _speaks_well(best, epochs):
        reason += ", though no epoch speaks as clearly and as fast as the data"
    start = next((scores for scores in history if scores.name == "start"), None)
    if start and start.losses:
        reason += f"; the start's is {start.losses.talker:.3f}"
    return Chosen(number, reason)


def _loss(scores: Scores) -> float:
    assert scores.losses
    return scores.losses.talker


def _speaks_well(scores: Scores, epochs: Sequence[Scores]) -> bool:
    if scores.judged is None:
        return True
    rates = [other.judged.character_error_rate for other in epochs if other.judged]
    known = [rate for rate in rates if rate is not None]
    rate = scores.judged.character_error_rate
    clear = rate is None or rate <= min(known) + _SPARE_ERRORS
    return clear and abs(scores.judged.pace - 1) <= _SPARE_PACE


def _scores(line: dict[str, Any]) -> Scores:
    losses = Losses(**line["losses"]) if line["losses"] else None
    judged = Judged(**line["judged"]) if line["judged"] else None
    return Scores(**{**line, "losses": losses, "judged": judged})
