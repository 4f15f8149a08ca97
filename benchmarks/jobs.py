"""`scripts/bench jobs [--jobs N] [--pause SECONDS] [--kills N] [--json FILE]`: jobs while parts are killed at random.

A server with real models runs on a PostgreSQL of its own. While its jobs run, gateway, worker, Triton and the server of
the database are killed with SIGKILL, one at a time. Afterwards every job must have ended once, with the right result:
`lost` and `failed` are 0. A job is `finished_again` if its worker was killed between its last line and the commit of
the database; its result is then written a second time, the same. Callbacks may come twice for the same reason.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.preparation import prepare
from benchmarks.report import write
from tests.e2e.server import NO_NETWORK, ROOT, Server, descendants, serve
from tests.e2e.words import ENGLISH, word_error_rate
from tests.postgres import Postgres

RESULTS = ROOT / "benchmarks" / "results"
PARTS = ("gateway", "worker", "triton", "database")
UNFINISHED = ("queued", "running")
AT_ONCE = 4
CALLBACKS = {"JOBS_CALLBACK_SECRET": "secret", "JOBS_HOSTS": "127.0.0.1"}
"""Settings of a server that may send the callbacks of jobs to this machine."""
DEADLINE = 900.0
"""Seconds after the last kill, in which the jobs must end."""


@dataclass
class Callbacks:
    """Takes the callbacks of the jobs."""

    counts: Counter[str] = field(default_factory=Counter)

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Yield the address for the length of the block."""
        counts = self.counts

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                event = json.loads(self.rfile.read(int(self.headers["content-length"])))
                counts[event["data"]["id"]] += 1
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}/"
            server.shutdown()


def patiently(client: httpx.Client, method: str, path: str, **request: Any) -> httpx.Response:
    """Send a request until it is answered with success: the gateway or the database may just be dead."""
    deadline = time.monotonic() + DEADLINE
    while True:
        with contextlib.suppress(httpx.TransportError):
            response = client.request(method, path, **request)
            if response.is_success:
                return response
            if response.status_code < 500:
                raise RuntimeError(response.text)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{method} {path} was not answered for {DEADLINE:g} s")
        time.sleep(0.5)


def kill(part: str, server: Server, database: Postgres | None) -> bool:
    """Kill a part; return whether it was there."""
    if part == "database":
        if database is None:
            return False
        database.kill()
        time.sleep(1.0)
        database.start()
        return True
    names = {"gateway": ["-m", "gateway"], "worker": ["-m", "gateway.jobs"], "triton": ["tritonserver"]}
    for child in descendants(server.process.pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            words = [Path(word).name for word in child.cmdline()]
            if words[1:3] == names[part] or words[:1] == names[part]:
                child.send_signal(signal.SIGKILL)
                return True
    return False


def create(client: httpx.Client, count: int, recordings: Sequence[bytes], callback: str) -> dict[str, str]:
    """Create the jobs, two transcriptions to each text; return the text of each by its id."""
    texts = {}
    for number in range(count):
        text = ENGLISH[number % len(recordings)]
        headers = {"idempotency-key": f"job {number}"}
        if number % 3:
            recording = ("speech.wav", recordings[number % len(recordings)])
            form = {"model": "whisper-base", "callback_url": callback}
            response = patiently(client, "POST", "/jobs", data=form, files={"file": recording}, headers=headers)
        else:
            body = {"model": "kokoro-82m", "input": text, "response_format": "wav", "callback_url": callback}
            response = patiently(client, "POST", "/jobs", json=body, headers=headers)
        texts[response.json()["id"]] = text
    return texts


def judge(client: httpx.Client, texts: dict[str, str]) -> dict[str, int]:
    """Return how many jobs ended in each state, with a right and a wrong result."""
    found: Counter[str] = Counter()
    for job_id, text in texts.items():
        job = patiently(client, "GET", f"/jobs/{job_id}").json()
        found[job["status"]] += 1
        if job["status"] != "completed":
            print(job)
            continue
        result = patiently(client, "GET", f"/jobs/{job_id}/result")
        if job["type"] == "transcription":
            right = word_error_rate([text], [result.json()["text"]]) < 0.3
        else:
            right = len(result.content) > 20_000
        found["right" if right else "wrong"] += 1
    return dict(found)


def run(count: int, pause: float, most: int, seed: int) -> dict[str, Any]:
    """Measure a server with a database of its own."""
    with tempfile.TemporaryDirectory() as folder, Postgres() as database:
        settings = {
            "JOBS_URL": database.url("jobs"),
            "JOBS_AT_ONCE": str(AT_ONCE),
            "MAX_RESTARTS": "1000",
        }
        with serve(Path(folder) / "serve.log", **NO_NETWORK, **CALLBACKS, **settings) as server:
            return measure(server, database, count=count, pause=pause, most=most, seed=seed)


def measure(
    server: Server, database: Postgres | None, *, count: int, pause: float, most: int, seed: int
) -> dict[str, Any]:
    """Run the jobs, and kill a part every `pause` seconds, more or less, until all have ended or `most` were killed."""
    chance = random.Random(seed)
    callbacks = Callbacks()
    with contextlib.ExitStack() as stack:
        callback = stack.enter_context(callbacks.serving())
        recordings = [speak(server, text) for text in ENGLISH[: min(count, 3)]]
        client = stack.enter_context(httpx.Client(base_url=f"{server.url}/v1/audio", timeout=60))
        began = time.monotonic()
        texts: dict[str, str] = {}
        creator = threading.Thread(target=lambda: texts.update(create(client, count, recordings, callback)))
        creator.start()
        kills: Counter[str] = Counter()
        while (creator.is_alive() or unfinished(client)) and kills.total() < most:
            time.sleep(chance.uniform(0.5, 1.5) * pause)
            part = chance.choice(PARTS)
            kills[part] += kill(part, server, database)
            print(f"{time.monotonic() - began:.0f} s: killed {part}, {len(callbacks.counts)} callbacks", flush=True)
            if time.monotonic() - began > DEADLINE:
                break
        creator.join()
        deadline = time.monotonic() + DEADLINE
        while (unfinished(client) or len(callbacks.counts) < count) and time.monotonic() < deadline:
            time.sleep(1)
        seconds = time.monotonic() - began
        states = judge(client, texts)
        ends = Counter(re.findall(r"job (job_\w+): completed", server.log.read_text()))
    return {
        "jobs": count,
        "kills": dict(kills),
        "seconds": round(seconds),
        "load": round(os.getloadavg()[1], 1),
        "lost": count - sum(states.get(state, 0) for state in ("completed", "failed", "cancelled")),
        "failed": states.get("failed", 0),
        "completed": states.get("completed", 0),
        "results_right": states.get("right", 0),
        "finished_again": sum(times > 1 for times in ends.values()),
        "called_back": len(callbacks.counts),
        "called_back_again": sum(times > 1 for times in callbacks.counts.values()),
    }


def unfinished(client: httpx.Client) -> bool:
    """Return whether a job is queued or running."""
    page = patiently(client, "GET", "/jobs", params={"limit": 100}).json()
    return any(job["status"] in UNFINISHED for job in page["data"])


def speak(server: Server, text: str) -> bytes:
    """Return the text as a WAV file."""
    body = {"model": "kokoro-82m", "input": text, "response_format": "wav"}
    return httpx.post(f"{server.url}/v1/audio/speech", json=body, timeout=300).raise_for_status().content


def main() -> int:
    """Run, and write the figures; return 1 if a job was lost, failed or is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--pause", type=float, default=15.0, help="seconds between two kills, on average")
    parser.add_argument("--kills", type=int, default=1000, help="at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=RESULTS / "jobs.json")
    given = parser.parse_args()
    prepare("kokoro-82m", "whisper-base", "silero-vad")
    figures = run(given.jobs, given.pause, given.kills, given.seed)
    print(json.dumps(figures, indent=2))
    write(given.json, figures)
    return 1 if figures["lost"] or figures["failed"] or figures["results_right"] < given.jobs else 0


if __name__ == "__main__":
    sys.exit(main())
