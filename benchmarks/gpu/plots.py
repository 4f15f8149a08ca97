"""Plots of a run, next to its JSON: `python3 -m benchmarks.gpu.plots FILE`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

TARGETS = {1: 20, 10: 25, 20: 30, 40: 60}
"""Requests per second -> 95th percentile of milliseconds to first audio, with 1.7B."""
Numbered = dict[int, Mapping[str, Any]]
"""Figures by streams, or by requests per second."""
_PARTS = ("predictor_ms", "talker_ms", "sampling_ms", "rest_ms", "codec_ms")


def plot(figures: Mapping[str, Any], size: str, path: Path) -> None:
    """Plot the frame's time and parts, the throughput and the time to first audio of a size."""
    import matplotlib as mpl  # noqa: PLC0415 - not everywhere

    mpl.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    drawn = [(draw, data) for draw, part, suffix in _DRAWINGS if (data := _by_number(figures.get(part, {}), suffix))]
    if not drawn:
        return
    figure, axes = pyplot.subplots(1, len(drawn), figsize=(5.5 * len(drawn), 4), layout="constrained", squeeze=False)
    for axis, (draw, data) in zip(axes[0], drawn, strict=True):
        draw(axis, data)
    figure.suptitle(f"Qwen3-TTS {size}, random weights")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _by_number(part: Mapping[str, Any], suffix: str) -> Numbered:
    """Return the steps of a part with names of a number and `suffix`."""
    numbered = {name.removesuffix(suffix): each for name, each in part.items() if name.endswith(suffix)}
    return {int(name): numbered[name] for name in sorted(filter(str.isdecimal, numbered), key=int)}


def _frame(axis: Any, frames: Numbered) -> None:
    axis.plot([*frames], [each["frame_ms"] for each in frames.values()], "o-", label="device")
    axis.plot([*frames], [each["host_ms"] for each in frames.values()], "x--", label="host, to issue it")
    axis.set(xscale="log", yscale="log", xlabel="streams", ylabel="ms a frame", title="A frame (80 ms of audio)")
    axis.legend()


def _shares(axis: Any, shares: Numbered) -> None:
    below = [0.0] * len(shares)
    for name in _PARTS:
        heights = [max(0.0, each[name]) for each in shares.values()]
        axis.bar([str(rows) for rows in shares], heights, bottom=below, label=name.removesuffix("_ms"))
        below = [low + height for low, height in zip(below, heights, strict=True)]
    axis.set(xlabel="streams", ylabel="ms a frame", title="Its parts, each alone")
    axis.legend()


def _throughput(axis: Any, throughput: Numbered) -> None:
    axis.plot([*throughput], [each["times_real_time"] for each in throughput.values()], "o-")
    axis.set(xscale="log", yscale="log", xlabel="streams", ylabel="times real time, in all", title="Throughput")


def _arrivals(axis: Any, arrivals: Numbered) -> None:
    for quantile in ("p50", "p95", "p99"):
        axis.plot([*arrivals], [each[f"ttfa_{quantile}_ms"] for each in arrivals.values()], "o-", label=quantile)
    axis.plot(sorted(TARGETS), [TARGETS[rate] for rate in sorted(TARGETS)], "k_", label="target of p95")
    axis.set(xscale="log", yscale="log", xlabel="requests a second", ylabel="ms", title="First audio, open loop")
    axis.legend()


_DRAWINGS: tuple[tuple[Callable[[Any, Numbered], None], str, str], ...] = (
    (_frame, "frames", ""),
    (_shares, "frames", ", shares"),
    (_throughput, "throughput", ""),
    (_arrivals, "arrivals", ""),
)


def main() -> None:
    """Plot every size in the file; print a note if matplotlib is missing."""
    path = Path(sys.argv[1])
    try:
        for size, figures in json.loads(path.read_text()).get("sizes", {}).items():
            plot(figures, size, path.with_name(f"{path.stem}-{size}.png"))
    except ImportError:
        print("no plots: matplotlib is not installed")


if __name__ == "__main__":
    main()
