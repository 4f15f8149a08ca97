"""`scripts/bench start [--installers uv pip] [--before CLONE] [--json FILE]`: the time until `/ready` answers.

A first start has nothing: the clone, the home and the cache are new, so that Python's packages and the weights are
fetched. A second start in the same clone follows, which has everything. Each installer is measured. `--before` also
measures the first and the second start of another clone, such as an earlier version, with uv. The ratios compare starts
of one run, which a slow machine or network changes least.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.preparation import end_on_sigterm
from benchmarks.report import write
from tests.e2e.server import ROOT, serve_clone

INSTALLERS = ("uv", "pip")
_BUILT = re.compile(r"environment (\S+): built in (\d+) s")
_LOADED = re.compile(r"loading (\S+): done in ([\d.]+) s")
_WITHIN = 3600


def measure(installer: str, source: Path, folder: Path, **settings: str) -> dict[str, Any]:
    """Return the seconds of a first start of a copy of the clone `source`, of its steps, and of a second start.

    `settings` replace those of a start that has nothing.
    """
    clone, home = folder / "clone", folder / "home"
    copy_clone(source, clone)
    home.mkdir()
    variables = {
        "HOME": str(home),
        "TRITONE_INSTALLER": installer,
        "TRITONE_CACHE": str(home / "cache"),
        "PIP_CACHE_DIR": str(home / "pip"),
        "MODEL_DIR": str(clone / "models"),
        "TTS_MODES": "kokoro-82m",
        "STT_MODELS": "whisper-base",
        "DEVICE": "cpu",
        **settings,
    }
    with serve_clone(clone, folder / "first.log", _WITHIN, **variables) as first:
        log = first.log.read_text()
    with serve_clone(clone, folder / "second.log", _WITHIN, **variables) as second:
        return {
            "first_s": round(first.started_after, 1),
            "second_s": round(second.started_after, 1),
            "environments_s": {name: int(seconds) for name, seconds in _BUILT.findall(log)},
            "first_loads_s": {name: float(seconds) for name, seconds in _LOADED.findall(log)},
            "second_loads_s": {name: float(seconds) for name, seconds in _LOADED.findall(second.log.read_text())},
        }


def copy_clone(source: Path, target: Path) -> None:
    """Copy the files of a clone that git knows, without environments and weights."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=source, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (source / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, target / name)


def main() -> None:
    """Start each, print and write the figures."""
    parser = argparse.ArgumentParser(prog="scripts/bench start")
    parser.add_argument("--installers", nargs="+", choices=INSTALLERS, default=INSTALLERS, help="by default both")
    parser.add_argument("--before", type=Path, help="also measure the starts of another clone, with uv")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "start.json")
    arguments = parser.parse_args()
    end_on_sigterm()
    figures: dict[str, Any] = {"load": round(os.getloadavg()[0], 1)}
    starts = [(installer, installer, ROOT) for installer in arguments.installers]
    if arguments.before:
        starts.insert(1, ("before", "uv", arguments.before.resolve()))
    for name, installer, source in starts:
        with tempfile.TemporaryDirectory(prefix="tritone-start-") as folder:
            figures[name] = measure(installer, source, Path(folder))
        print(name, figures[name], flush=True)
    base = figures[starts[0][0]]
    for name, *_ in starts[1:]:
        ratios = {start: round(figures[name][f"{start}_s"] / base[f"{start}_s"], 2) for start in ("first", "second")}
        figures[f"{name}_to_{starts[0][0]}"] = ratios
        print(
            f"{name} takes {ratios['first']} times as long as {starts[0][0]}; a second start {ratios['second']} times"
        )
    write(arguments.json, figures)


if __name__ == "__main__":
    main()
