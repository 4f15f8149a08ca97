"""The report of `check`, as a page and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from finetuning.checks import Measured, Problem
from finetuning.page import histogram, page, table
from tritone.whole_file import write_text


@dataclass(frozen=True)
class Report:
    """The clips of a project, and what is wrong with them."""

    name: str
    clips: Sequence[Measured]
    problems: Sequence[Problem]

    def write(self, folder: Path) -> Path:
        """Write report.html and report.json, and return the path of the page."""
        write_text(folder / "report.json", json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n")
        write_text(folder / "report.html", page(f"{self.name}: recordings", self._body()))
        return folder / "report.html"

    def to_json(self) -> dict[str, Any]:
        """Return the report as data."""
        return {
            "name": self.name,
            "clips": len(self.clips),
            "seconds": round(sum(clip.seconds for clip in self.clips), 2),
            "speakers": sorted({clip.row.speaker for clip in self.clips}),
            "languages": sorted({clip.row.language or "auto" for clip in self.clips}),
            "errors": sum(problem.level == "error" for problem in self.problems),
            "warnings": sum(problem.level == "warning" for problem in self.problems),
            "problems": [asdict(problem) for problem in self.problems],
            "measurements": [_measurements(clip) for clip in self.clips],
        }

    def _body(self) -> Iterator[str]:
        minutes = sum(clip.seconds for clip in self.clips) / 60
        yield f"<p>{len(self.clips)} clips, {minutes:.1f} minutes of speech.</p>"
        yield "<h2>Problems</h2>"
        if self.problems:
            ordered = sorted(self.problems, key=lambda problem: (problem.level, problem.kind))
            yield table(
                ("", "kind", "clip", "what to do"),
                ((problem.level, problem.kind, problem.clip, problem.text) for problem in ordered),
            )
        else:
            yield "<p>None.</p>"
        yield "<h2>Lengths</h2>"
        yield histogram([clip.seconds for clip in self.clips], "seconds")
        yield "<h2>Pace</h2>"
        yield histogram([clip.pace for clip in self.clips], "characters a second")
        yield "<h2>Clips</h2>"
        yield "<table><tr><th>clip<th>s<th>level dB<th>text<th>audio</tr>"
        for clip in self.clips:
            audio = f'<audio controls preload="none" src="{escape(clip.row.audio)}"></audio>'
            yield (
                f"<tr><td>{escape(clip.row.id)}<td>{clip.seconds:.1f}<td>{clip.level_db:.0f}"
                f"<td>{escape(clip.row.text)}<td>{audio}</tr>"
            )
        yield "</table>"


def _measurements(clip: Measured) -> dict[str, Any]:
    numbers = {name: round(getattr(clip, name), 4) for name in ("seconds", "peak", "level_db", "clipped", "silent")}
    return {"clip": clip.row.id, **numbers, "noise_db": round(clip.noise_db, 1), "pace": round(clip.pace, 2)}
