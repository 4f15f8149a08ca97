"""`scripts/bench gateway [--quick] [--own] [--before CLONE] [--json FILE] [--plot FILE]`: the cost of HTTP.

First in front of models that answer at once, so that all that the gateway adds to plain gRPC is its own time; then with
the real models on a server of its own: in process, over gRPC, and through the gateway. The ways take turns in each
round, so that all have the same noise, and `adds` is the quantile of the differences within a round. `gRPC again` is
the same call twice: what it adds is noise. `CPU` is the processor time of a request in the gateway, in ms.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot

from benchmarks.gateway import overhead, real
from benchmarks.gateway.pairs import Times, table
from benchmarks.preparation import prepare
from benchmarks.report import write
from tests.e2e.server import ROOT, serve

RESULTS = ROOT / "benchmarks" / "results"


def plot(cases: dict[str, Times], path: Path) -> None:
    """Plot the cumulative distributions of the real models' times."""
    mpl.use("Agg")
    figure, axes = pyplot.subplots(1, len(cases), figsize=(10, 4), layout="constrained")
    for axis, (case, times) in zip(axes, cases.items(), strict=True):
        for way, seconds in times.items():
            values = np.sort(seconds) * 1e3
            axis.step(values, np.arange(1, values.size + 1) / values.size, where="post", label=way)
        axis.set(title=case, xlabel="milliseconds", ylabel="share of requests", ylim=(0, 1))
        axis.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"written: {path}")


def main() -> None:
    """Run, print the table, and write the figures."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench gateway", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the rounds")
    parser.add_argument("--own", action="store_true", help="only the gateway's own time, without the real models")
    parser.add_argument("--before", type=Path, help="also measure the own time of another clone's gateway")
    parser.add_argument("--json", type=Path, help="by default gateway.json in the results; with --own gateway-own.json")
    parser.add_argument("--plot", type=Path, default=RESULTS / "gateway.png")
    given = parser.parse_args()
    prepare("kokoro-82m", "whisper-base", "silero-vad", "test-recordings")
    began = time.monotonic()
    figures: dict[str, object] = {"load_before": round(os.getloadavg()[0], 1)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = overhead.measure(100 if given.quick else 1000, folder, given.before and given.before.resolve())
        figures["own_time"] = own
        print(table(own), flush=True)
        if not given.own:
            with serve(folder / "serve.log") as server:
                found, times = real.measure(server, 10 if given.quick else 100)
            figures |= found
            print(table(found["cases"]))
            plot(times, given.plot)
    figures |= {"load_after": round(os.getloadavg()[0], 1), "minutes": round((time.monotonic() - began) / 60, 1)}
    print(json.dumps({name: value for name, value in figures.items() if name not in ("own_time", "cases")}))
    write(given.json or RESULTS / ("gateway-own.json" if given.own else "gateway.json"), figures)


if __name__ == "__main__":
    main()
