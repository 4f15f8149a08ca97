"""`scripts/bench capacity [--quick] [--speeds FILE] [--json FILE]`: how many GPUs does a load need?

A discrete-event simulation of pools (simpy) is fed by the targets of the engine on a GPU, which are not measured, or by
the speeds in a file. First it is checked: the real engine runs on this machine with random arrivals, and the
simulation, fed by the speeds of the same run, must give the same times. docs/capacity.md has the answers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.capacity.pool import simulate
from benchmarks.capacity.questions import gpus_for, lags, policies, to_zero
from benchmarks.capacity.speeds import TARGETS, Speeds
from benchmarks.capacity.traffic import DAY, Request
from benchmarks.report import write

ROOT = Path(__file__).parents[2]
WITHIN = 0.15
"""The simulation's mean and 95th percentile may differ from the real engine's by so much."""


def check(seconds: float) -> dict[str, Any]:
    """Load the real engine, simulate the same requests, and return the times of both and their ratios."""
    command = [sys.executable, "-m", "supervisor.environments", "qwen", "-m", "benchmarks.capacity.engine_run"]
    run = subprocess.run([*command, "--seconds", str(seconds)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    measured = json.loads(run.stdout.splitlines()[-1])
    speeds = Speeds.read(measured["speeds"])
    real = [Request(**each) for each in measured["requests"]]
    simulated = simulate([Request(each.at, each.frames) for each in real], speeds, 1).requests
    times = {
        "real": _summary(real),
        "simulated": _summary(simulated),
    }
    ratios = {name: round(times["simulated"][name] / value, 3) for name, value in times["real"].items()}
    return {
        "load_of_the_machine": round(os.getloadavg()[0], 1),
        "requests": len(real),
        "rate": round(measured["rate"], 3),
        "engine_seconds_a_wall_second": round(measured["seconds_a_wall_second"], 3),
        "speeds": measured["speeds"],
        "seconds": times,
        "simulated_over_real": ratios,
        "within_15_percent": all(abs(ratio - 1) <= WITHIN for ratio in ratios.values()),
    }


def _summary(requests: Any) -> dict[str, float]:
    waits = [request.waited for request in requests]
    whole = [request.ended - request.at for request in requests]
    return {
        "first_audio_mean": round(float(np.mean(waits)), 4),
        "first_audio_p95": round(float(np.quantile(waits, 0.95)), 4),
        "whole_mean": round(float(np.mean(whole)), 4),
        "whole_p95": round(float(np.quantile(whole, 0.95)), 4),
    }


def answers(speeds: Speeds, *, quick: bool) -> dict[str, Any]:
    """Return the answer of each question."""
    window, of_day = (60.0, DAY / 24) if quick else (600.0, DAY)
    mean_seconds = 75 / speeds.capacity + speeds.prefill_seconds
    peak = round(2.5 / mean_seconds, 1)  # three servers are busy at the peak
    return {
        "gpus": gpus_for(speeds, (1, 5) if quick else (1, 5, 10, 20, 40, 80), 0.1, window),
        "policies": policies(speeds, 4, (0.5, 0.8, 0.9), window),
        "autoscaling": {
            "peak_requests_per_second": peak / 10,
            "rows": lags(_tenth(speeds), peak / 10, 4, (60, 180, 600), of_day),
        },
        "to_zero": to_zero(speeds, (1, 3, 6, 12, 30), 120.0, of_day * (1 if quick else 7)),
    }


def _tenth(speeds: Speeds) -> Speeds:
    """Return a server with a tenth of the slots and the speed, so that a day has a tenth of the requests."""
    frames = {max(1, streams // 10): seconds for streams, seconds in speeds.frame_seconds.items()}
    return replace(
        speeds,
        frame_seconds=frames,
        prefill_seconds=10 * speeds.prefill_seconds,
        piece_seconds=10 * speeds.piece_seconds,
        slots=max(1, speeds.slots // 10),
    )


def main() -> None:
    """Check the simulation, answer the questions, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short loads, for a first look")
    parser.add_argument("--no-check", action="store_true", help="only the simulation")
    parser.add_argument("--speeds", type=Path, help="JSON: frame_seconds, prefill_seconds, first_frames, slots")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "capacity.json")
    given = parser.parse_args()
    speeds = Speeds.read(json.loads(given.speeds.read_text())) if given.speeds else TARGETS
    figures: dict[str, Any] = {"speeds": "given" if given.speeds else "targets, not measured"}
    if not given.no_check:
        figures["check"] = check(20.0 if given.quick else 60.0)
        print(json.dumps(figures["check"], indent=2), flush=True)
    figures |= answers(speeds, quick=given.quick)
    print(json.dumps({name: each for name, each in figures.items() if name != "check"}, indent=2))
    write(given.json, figures)
    if not given.no_check and not figures["check"]["within_15_percent"]:
        raise SystemExit("the times of the simulation differ from the engine's by more than 15 %")


if __name__ == "__main__":
    main()
