"""`scripts/bench pools [--rounds N] [--json FILE]`: several Tritons and gateways as processes, as a cluster runs them.

First a pool for speech and one for transcription, then three equal servers, behind two gateways each time. OpenAI's SDK
sends requests without a pause and without retries, while a server is added, drained, killed and stopped (SIGSTOP), and
while all are restarted one by one. The models are the toy families of the tests, which take no time to compute: this is
about the requests and not about speed. A request may fail only if it was open when a server was killed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from benchmarks.faults.parts import parts
from benchmarks.pools.rig import START_SECONDS, Triton, running
from benchmarks.pools.traffic import CLIENTS, Traffic, traffic
from benchmarks.preparation import prepare
from benchmarks.report import write
from tests.e2e.server import ROOT

RESULTS = ROOT / "benchmarks" / "results"
SPREAD = 300
"""Requests for each measurement of how they are spread."""


async def spread(work: Traffic, tritons: Sequence[Triton]) -> dict[str, Any]:
    """Return each server's share of the next requests, in units of an even share."""
    before = [await triton.answered() for triton in tritons]
    await work.more(SPREAD)
    counts = [await triton.answered() - old for triton, old in zip(tritons, before, strict=True)]
    even = sum(counts) / len(counts)
    shares = [round(each / even, 2) for each in counts]
    return {"requests": counts, "shares": shares, "within_a_fifth": all(abs(share - 1) <= 0.2 for share in shares)}


async def two_pools(folder: Path) -> dict[str, Any]:
    """A pool for each kind of model: every request finds its own."""
    tritons = [Triton(folder / "speech", transcription="none"), Triton(folder / "transcription", speech="none")]
    async with running(tritons), traffic(folder, tritons) as work:
        began = time.monotonic()
        await work.more(SPREAD)
        return {"answered": dict(work.answered), **work.since(began)}


async def equal_servers(folder: Path, rounds: int) -> dict[str, Any]:
    """Two servers and a third that is added, in each trouble that a cluster makes."""
    tritons = [Triton(folder / f"equal-{number}") for number in range(3)]
    found: dict[str, Any] = {}

    def tell(name: str, result: Any) -> None:
        found[name] = result
        print(f"{name}: {json.dumps(result)}", flush=True)

    async with running(tritons[:2]), traffic(folder, tritons) as work:
        tell("two_servers", await spread(work, tritons[:2]))
        async with running(tritons[2:]):
            began = time.monotonic()
            await work.more(CLIENTS)
            tell("added", {**await spread(work, tritons), **work.since(began)})
            began = time.monotonic()
            took = await tritons[2].stop()
            await work.more(SPREAD // 3)
            tell("drained", {"seconds": took, **work.since(began)})
            await tritons[2].start()
            tell("killed", [await _killed(work, tritons[number % 3]) for number in range(rounds)])
            tell("stopped", await _stopped(work, tritons[1]))
            began = time.monotonic()
            for triton in tritons:
                await triton.stop()
                await triton.start()
                await work.more(CLIENTS)
            tell("rolling_restart", work.since(began))
            tell("after_all", await spread(work, tritons))
            tell("answered", dict(work.answered))
    return found


async def _killed(work: Traffic, triton: Triton) -> dict[str, Any]:
    """Kill a Triton, and wait until its supervisor has replaced it."""
    victim, killed_at = triton.part(), time.monotonic()
    victim.kill()
    await work.more(SPREAD // 3)
    result = work.since(killed_at, killed_at)
    await _back(triton, victim.pid)
    return {**result, "back_after_s": round(time.monotonic() - killed_at, 1)}


async def _stopped(work: Traffic, triton: Triton) -> dict[str, Any]:
    """Stop a Triton in its tracks; the supervisor replaces it when it has been silent for a while."""
    victim, stopped_at = triton.part(), time.monotonic()
    victim.suspend()
    await work.more(SPREAD // 3)
    await _back(triton, victim.pid)
    result = work.since(stopped_at, stopped_at)
    return {**result, "back_after_s": round(time.monotonic() - stopped_at, 1)}


async def _back(triton: Triton, old: int) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            assert triton.process
            found = await asyncio.to_thread(parts, triton.process.pid)
            if "triton" in found and found["triton"].pid != old:
                try:
                    if await triton.answered():
                        return
                except httpx.TransportError:
                    pass
            await asyncio.sleep(0.5)


async def rehearse(rounds: int) -> dict[str, Any]:
    """Return the figures of both arrangements."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {"two_pools": await two_pools(folder)}
        print("two_pools:", json.dumps(found["two_pools"]), flush=True)
        found["equal_servers"] = await equal_servers(folder, rounds)
    return found


def main() -> int:
    """Run, print and write the figures; return 1 if a request was lost, or the spread is uneven."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how many servers are killed")
    parser.add_argument("--json", type=Path, default=RESULTS / "pools.json")
    given = parser.parse_args()
    prepare("silero-vad")
    figures = asyncio.run(rehearse(given.rounds))
    write(given.json, {"load": round(os.getloadavg()[1], 1), **figures})
    equal = figures["equal_servers"]
    troubles = [figures["two_pools"], equal["added"], equal["drained"], *equal["killed"], equal["stopped"]]
    lost = [each for trouble in [*troubles, equal["rolling_restart"]] for each in trouble["lost"]]
    even = all(equal[name]["within_a_fifth"] for name in ("two_servers", "added", "after_all"))
    return 1 if lost or not even else 0


if __name__ == "__main__":
    sys.exit(main())
