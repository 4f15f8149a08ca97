"""`scripts/bench queues [--kills N] [--jobs N] [--seed N] [--json FILE]`: messages while their worker is killed.

Messages ask for speech; their worker is killed with SIGKILL in mid-work, again and again, each time at another moment.
Afterwards each message must have one result, and notices that all say the same: `lost` and `problems` are 0. AWS is a
stand-in, moto's server, and so is Triton: it speaks a tone of another length each time, as a model that samples, so
that two workers never make the same audio of a text.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from benchmarks.report import write
from tests.e2e.server import ROOT
from tests.fake_triton import Call, FakeTriton
from tests.stand_ins.aws import aws_server
from tests.unit.gateway.conftest import DESCRIPTION, FakeSpeech, tone
from tests.unit.gateway.zonos.queue_worker import COMES_BACK_SOON, Queues, queue_worker, while_running

RESULTS = ROOT / "benchmarks" / "results"
DEADLINE = 900.0
"""Seconds after the last kill, in which the messages must end."""
PIECE = 0.1
"""Seconds between two pieces of a text's audio."""


class Speech:
    """A model that takes a third of a second for a text."""

    description = DESCRIPTION

    def __init__(self) -> None:
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.calls = 0

    async def __call__(self, call: Call) -> AsyncIterator[Any]:
        """Yield two pieces of a tone."""
        self.calls += 1
        self.begun.put_nowait(call.request_id)
        piece = tone(0.1 + 0.001 * self.calls)
        async for response in FakeSpeech(chunks=[piece, piece])(call):
            await asyncio.sleep(PIECE)
            yield response


async def run(kills: int, jobs: int, seed: int) -> dict[str, Any]:
    """Kill the worker `kills` times, let the last one finish, and return what was found."""
    chance = random.Random(seed)
    model = Speech()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with aws_server(folder / "moto.log") as aws:
            queues = Queues.make(aws)
            async with FakeTriton({"kokoro-82m": model}) as triton:
                await triton.publish()
                # Each kill counts as an attempt at the messages in work, and must not set them aside.
                settings = queues.settings(triton.address, SQS_AT_ONCE="4", SQS_MAX_RECEIVES="1000", **COMES_BACK_SOON)
                ids = {aws.send(queues.jobs, text=f"Text {number}.") for number in range(jobs)}
                for number in range(kills):
                    async with queue_worker(settings, folder) as worker:
                        while not model.begun.empty():
                            model.begun.get_nowait()
                        async with asyncio.timeout(DEADLINE):
                            await while_running(worker, model.begun.get())
                        await asyncio.sleep(chance.uniform(0, 5 * PIECE))
                    print(f"{time.monotonic() - began:.0f} s: kill {number + 1}, {model.calls} texts begun", flush=True)
                async with queue_worker(settings, folder) as worker:
                    notices = await while_running(worker, queues.all_notices(jobs, DEADLINE))
            problems = queues.problems(notices)
    for problem in problems:
        print(problem)
    return {
        "jobs": jobs,
        "kills": kills,
        "seconds": round(time.monotonic() - began),
        "load": round(os.getloadavg()[1], 1),
        "texts_begun": model.calls,
        "lost": len(ids - notices.keys()),
        "told_again": sum(len(told) > 1 for told in notices.values()),
        "problems": len(problems),
    }


def main() -> int:
    """Run, and write the figures; return 1 if a message was lost, or has a wrong result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=RESULTS / "queues.json")
    given = parser.parse_args()
    figures = asyncio.run(run(given.kills, given.jobs, given.seed))
    print(json.dumps(figures, indent=2))
    write(given.json, figures)
    return 1 if figures["lost"] or figures["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
