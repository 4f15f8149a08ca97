"""A process that runs one or more engines under load, to measure how they share a GPU; `sharing` starts it.

It prints `ready`, waits for a line, keeps so many streams of each engine busy for some seconds, and prints figures.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import ExitStack
from typing import Any

from benchmarks.gpu.bare import prepare
from benchmarks.gpu.steps import options_from


def main() -> None:
    """Run with the arguments: options, comma-separated sizes, streams and seconds."""
    given, sizes, streams, seconds = sys.argv[1:]
    options = options_from(given)
    prepare(options.site)

    from benchmarks.gpu.engine_client import PlaybackClient, accepted, wait  # noqa: PLC0415 - only now can it be imported
    from benchmarks.gpu.rig import Rig  # noqa: PLC0415 - only now can it be imported

    def busy(rig: Rig, engine: Any, until: float, done: list[PlaybackClient]) -> None:
        """Run one stream after the other."""
        index = 0
        while time.monotonic() < until:
            done.append(rig.submit(engine, index, options.pick(75, 10)))
            wait(done[-1:])
            index += 1

    with ExitStack() as stack:
        rigs = [Rig(size, options) for size in sizes.split(",")]
        engines = [stack.enter_context(rig.engine(int(streams))) for rig in rigs]
        for rig, engine in zip(rigs, engines, strict=True):
            wait([rig.submit(engine, 0, 10)])
        print("ready", flush=True)
        sys.stdin.readline()
        started = time.monotonic()
        done: list[PlaybackClient] = []
        threads = [
            threading.Thread(target=busy, args=(rig, engine, started + float(seconds), done))
            for rig, engine in zip(rigs, engines, strict=True)
            for _ in range(int(streams))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        played = accepted(done)
        ended = max(each.ended for each in played)
    figures = {
        "audio_seconds": sum(each.seconds for each in played),
        "seconds": ended - started,
        "ttfa_ms": [round(1e3 * each.to_first_audio, 2) for each in played],
        "underruns": sum(each.silence > 0 for each in played),
    }
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
