"""`scripts/bench start [--json FILE]`: the time of a first start, with environments built by uv and by pip.

Each start runs in a clone and with a cache of its own, both empty; only the weights are there before. pip's downloads
are not cached either. The ratio compares the two starts of one run, which a slow machine or network changes least.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import preparation
from benchmarks.report import write
from tests.e2e.server import ROOT, serve_clone

TOOLS = ("uv", "pip")
WEIGHTS = ("kokoro-82m", "whisper-base", "silero-vad", "speaker-embedding")
_BUILT = re.compile(r"environment (\S+): built in (\d+) s")


def measure(tool: str, folder: Path, cache: Path) -> dict[str, Any]:
    """Return the seconds of one start until `/ready` answers, and those of each environment that `cache` lacks."""
    clone = folder / "clone"
    copy_clone(clone)
    variables = {
        "TRITONE_INSTALLER": tool,
        "TRITONE_CACHE": str(cache),
        "PIP_CACHE_DIR": str(folder / "pip"),
        "MODEL_DIR": str(preparation.model_dir()),
        "TTS_MODES": "kokoro-82m",
        "STT_MODELS": "whisper-base",
        "DEVICE": "cpu",
    }
    with serve_clone(clone, folder / "serve.log", 3600, **variables) as server:
        built = {name: int(seconds) for name, seconds in _BUILT.findall(server.log.read_text())}
        return {"ready_s": round(server.started_after, 1), "environments_s": built}


def copy_clone(target: Path) -> None:
    """Copy the files of this clone that git knows, without environments and weights."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)


def main() -> None:
    """Start twice, print and write the figures."""
    parser = argparse.ArgumentParser(prog="scripts/bench start")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "start.json")
    arguments = parser.parse_args()
    preparation.prepare(*WEIGHTS)
    figures: dict[str, Any] = {}
    for tool in TOOLS:
        with tempfile.TemporaryDirectory(prefix="tritone-start-") as folder:
            figures[tool] = measure(tool, Path(folder), Path(folder, "cache"))
        print(tool, figures[tool], flush=True)
    figures["pip_to_uv"] = round(figures["pip"]["ready_s"] / figures["uv"]["ready_s"], 2)
    print(f"with pip a start takes {figures['pip_to_uv']} times as long as with uv")
    write(arguments.json, figures)


if __name__ == "__main__":
    main()
