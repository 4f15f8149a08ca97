"""`scripts/bench faults [--seconds N] [--json FILE] [--only soak schema media]`: what a server takes without a loss.

The soak runs a real server for ten minutes. Clients speak, transcribe, cancel, read slowly and send damaged files,
while the gateway, Triton and the models are killed and stopped at random. A request is lost if it fails where no part
was down, hung if it has no end in two minutes, and wrong if its audio or text is not that of the undisturbed server.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.faults.hostile import damaged_media, schema_cases
from benchmarks.faults.soak import soak
from benchmarks.preparation import prepare
from benchmarks.report import write
from tests.e2e.server import serve

_KINDS = ("soak", "schema", "media")


def main() -> int:
    """Run the chosen parts; return 1 if a request was lost, hung or wrong."""
    parser = argparse.ArgumentParser(prog="scripts/bench faults", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="length of the soak")
    parser.add_argument("--requests", type=int, default=10_000, help="requests made from the OpenAPI document")
    parser.add_argument("--uploads", type=int, default=2_000, help="damaged recordings")
    parser.add_argument("--only", nargs="+", choices=_KINDS, default=_KINDS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    prepare("kokoro-82m", "whisper-base", "silero-vad")
    results: dict[str, Any] = {"load": os.getloadavg()[0]}
    problems = 0
    if "soak" in options.only:
        with tempfile.TemporaryDirectory() as folder, serve(Path(folder) / "serve.log") as server:
            found = results["soak"] = asyncio.run(soak(server, options.seconds, options.seed))
        problems += sum(len(found[name]) for name in ("lost", "hung", "wrong"))
        _print(found)
    if "schema" in options.only:
        results["schema"] = asyncio.run(schema_cases(options.requests))
        problems += len(results["schema"]["problems"])
        print("schema:", results["schema"])
    if "media" in options.only:
        results["media"] = asyncio.run(damaged_media(options.uploads, options.seed))
        problems += len(results["media"]["problems"])
        print("media:", results["media"])
    if options.json:
        write(options.json, results)
    return 1 if problems else 0


def _print(found: dict[str, Any]) -> None:
    for name in ("lost", "hung", "wrong"):
        print(f"{name}: {len(found[name])}", *found[name][:10], sep="\n  ")
    for name in ("faults", "answered", "failed_in_outage", "recovery_seconds", "memory_mb"):
        print(f"{name}: {found[name]}")


if __name__ == "__main__":
    sys.exit(main())
