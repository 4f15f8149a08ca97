"""The JSON file: complete after every figure, so that a killed run keeps its figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.gpu.steps import OTHER_MODELS
from benchmarks.report import machine


class Results:
    """Figures by size and part."""

    def __init__(self, path: Path, run: dict[str, Any]) -> None:
        """`run`: the options of the run."""
        self._path = path
        self.content: dict[str, Any] = {"machine": machine(), "run": run, "valid": True, "left_out": []}

    def add(self, part: str, size: str, step: str, figures: Any) -> None:
        """Add a measurement. One that is not `right` makes the whole run invalid."""
        of = self.content if part in ("conditions", *OTHER_MODELS) else self._of(size)
        place = of.setdefault(part, {})
        place[step] = figures
        if isinstance(figures, dict) and figures.get("right") is False:
            self.content["valid"] = False
        self.write()

    def fail(self, part: str, size: str, step: str, error: str) -> None:
        """Add a measurement that failed."""
        self.content.setdefault("errors", []).append({"part": part, "size": size, "step": step, "error": error})
        if part in ("kernels", "correctness"):
            self.content["valid"] = False
        self.write()

    def leave_out(self, part: str, size: str, step: str = "") -> None:
        """Add a measurement for which there was no time; without `step`, a whole part."""
        self.content["left_out"].append(" ".join(filter(None, (size, part, step))))
        self.write()

    def finish(self, seconds: float) -> None:
        """Finish a run of `seconds`: add the ratios of the frames' times to those of reading their bytes.

        A run that did not check what it measured, for lack of time or by its options, is not `valid`, but None.
        """
        self.content["run"]["seconds"] = round(seconds)
        sizes = self.content.get("sizes", {})
        is_checked = bool(sizes) and all(figures.get("correctness") for figures in sizes.values())
        self.content["valid"] = is_checked or None if self.content["valid"] else False
        rate = self.content.get("conditions", {}).get("copy_bytes_per_second")
        for figures in sizes.values():
            for frame in figures.get("frames", {}).values():
                if rate and "bytes" in frame:
                    frame["floor_ms"] = round(1e3 * frame["bytes"] / rate, 4)
                    frame["times_floor"] = round(frame["frame_ms"] / frame["floor_ms"], 2)
                if rate and "predictor_bytes" in frame:
                    read = 1e3 * frame["predictor_bytes"] / frame["predictor_ms"]
                    frame["predictor_of_copy_rate"] = round(read / rate, 3)
        self.write()

    def write(self) -> None:
        """Write the file, atomically."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".part")
        fresh.write_text(json.dumps(self.content, indent=2) + "\n")
        fresh.replace(self._path)

    def _of(self, size: str) -> dict[str, Any]:
        of: dict[str, Any] = self.content.setdefault("sizes", {}).setdefault(size, {})
        return of
