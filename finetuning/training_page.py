"""The page of a training: its losses, and what its epochs sound like, against the untouched start."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

import numpy as np

from finetuning.events import Losses, Progress, Scores
from finetuning.page import page, plot, table

_POINTS: Final = 200
"""Points of the plot of all steps; each is the mean of those that it stands for."""
_HEAD: Final = ("", "talker", "predictor", "similarity", "CER", "pace", "ended")
_EXPLAINED: Final = """
<p>Losses are cross-entropies of the held-out clips, in nats: lower is better, and a rise after a fall is the point
from which the voice is learned by heart. Similarity compares a speaker network's embeddings of spoken sentences with
those of the speaker's own clips, 1 at best; CER is the character error rate of Whisper's transcripts of them; pace is
their frames a character over the data's, 1 at best; ended is the share that ended by itself. Dashed: the untouched
start, which is the first line of the table; <i>cloning</i> is the start's cloning from one clip, without training.</p>
"""


def training_page(name: str, history: Sequence[Scores], steps: Sequence[Progress], chosen: str, samples: Path) -> str:
    """Return the page; `chosen` is a sentence, empty before the end, `samples` the folder of the spoken sentences."""
    return page(f"{name}: training", _body(history, steps, chosen, samples))


def scores_line(scores: Scores) -> str:
    """Return scores in a line for the terminal."""
    head, *cells = _cells(scores)
    named = ", ".join(f"{title} {cell}" for title, cell in zip(_HEAD[1:], cells, strict=True) if cell)
    return f"{head}: {named or 'nothing is held out to judge by'}"


def _body(history: Sequence[Scores], steps: Sequence[Progress], chosen: str, samples: Path) -> Iterator[str]:
    if chosen:
        yield f"<p><b>{escape(chosen)}</b></p>"
    yield _EXPLAINED
    yield table(_HEAD, map(_cells, history))
    start = next((scores for scores in history if scores.name == "start"), None)
    later = [scores for scores in history if scores.name.startswith("epoch")]

    def points(value: Callable[[Scores], float | None]) -> list[tuple[float, float]]:
        found = [(scores.epoch, value(scores)) for scores in later]
        return [(epoch, number) for epoch, number in found if number is not None]

    def drawn(title: str, values: dict[str, Callable[[Scores], float | None]]) -> Iterator[str]:
        lines = {name: line for name, value in values.items() if (line := points(value))}
        based = {name: value(start) for name, value in values.items()} if start else {}
        base = {name: number for name, number in based.items() if number is not None}
        if lines:
            yield f"<h2>{title}</h2>"
            yield plot(lines, "epochs", base)

    yield from drawn("Held-out losses", {name: _loss(name) for name in ("talker", "predictor")})
    yield from drawn("Similarity", {"similarity": _judged("similarity")})
    yield from drawn("Character error rate", {"CER": _judged("character_error_rate")})
    yield from drawn("Pace and endings", {"pace": _judged("pace"), "ended": _judged("ended")})
    if steps:
        yield "<h2>Losses of the steps</h2>"
        yield plot({name: _smooth(steps, name) for name in ("talker", "predictor")}, "steps")
    yield from _samples(samples)


def _cells(scores: Scores) -> tuple[str, ...]:
    losses, judged = scores.losses, scores.judged
    heard = ("", "", "", "")
    if judged:
        similarity = "" if judged.similarity is None else f"{judged.similarity:.2f}"
        errors = "" if judged.character_error_rate is None else f"{100 * judged.character_error_rate:.1f} %"
        heard = (similarity, errors, f"{judged.pace:.2f}", f"{100 * judged.ended:.0f} %")
    talker, predictor = (f"{losses.talker:.3f}", f"{losses.predictor:.3f}") if losses else ("", "")
    return (scores.name, talker, predictor, *heard)


def _loss(name: str) -> Callable[[Scores], float | None]:
    return lambda scores: getattr(scores.losses, name) if scores.losses else None


def _judged(name: str) -> Callable[[Scores], float | None]:
    return lambda scores: getattr(scores.judged, name) if scores.judged else None


def _smooth(steps: Sequence[Progress], name: str) -> list[tuple[float, float]]:
    def value(losses: Losses) -> float:
        number: float = getattr(losses, name)
        return number

    groups = np.array_split(np.arange(len(steps)), min(_POINTS, len(steps)))
    return [
        (float(steps[int(group[-1])].step), float(np.mean([value(steps[int(i)].losses) for i in group])))
        for group in groups
    ]


def _samples(folder: Path) -> Iterator[str]:
    spoken = sorted(folder.glob("*/*.wav"))
    if spoken:
        yield "<h2>Spoken sentences</h2><table>"
        for path in spoken:
            source = escape("/".join(path.parts[-4:]))
            yield (
                f"<tr><td>{escape(path.parent.name)}<td>{escape(path.stem)}"
                f'<td><audio controls preload="none" src="{source}"></audio></tr>'
            )
        yield "</table>"
