"""A Triton, a gateway and a supervisor that are real processes and serve nothing.

Each appends what it does to the file EVENTS. The Triton leaves behind what a killed one does: a shared memory
region and, but for ORPHAN=no, a stub. DIES names the one that cannot start, REFUSES a model that cannot be loaded.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock


def tell(event: str) -> None:
    with Path(os.environ["EVENTS"]).open("a") as events:
        events.write(f"{event}\n")


def listen(name: str, port: int, answer: dict[str, str]) -> None:
    """Serve until SIGTERM, which is told."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def answer(self) -> None:
            tell(f"{name}: {self.command} {self.path} {self.headers.get('tritone-control') is not None}")
            body = answer.get(self.path, "{}").encode()
            self.send_response(400 if self.path in answer else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    def stop(*_: object) -> None:
        tell(f"{name}: SIGTERM")
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    if os.environ.get("DIES") == name:
        sys.exit(f"{name}: out of memory")
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def triton(arguments: list[str]) -> None:
    options = dict(argument.lstrip("-").split("=", 1) for argument in arguments if "=" in argument)
    prefix = options["backend-config"].rpartition("=")[2]
    Path("/dev/shm", f"{prefix}region").touch()
    orphan = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    if os.environ.get("ORPHAN") != "no":
        subprocess.Popen([sys.executable, "-c", orphan])
    refused = os.environ.get("REFUSES")
    answer = {f"/v2/repository/models/{refused}/load": '{"error": "weights are damaged"}'} if refused else {}
    listen("triton", int(options["http-port"]), answer)


def gateway() -> None:
    listen("gateway", int(os.environ["API_PORT"]), {})


async def supervise() -> int:
    from supervisor import command
    from supervisor.plan import REPOSITORY, Plan
    from supervisor.settings import Settings
    from tritone.catalogue import Catalogue

    async def nothing_to_prepare(plan: Plan) -> Plan:
        return plan

    catalogue = Catalogue.load()
    models = catalogue.choose([], [])
    stand_in = [sys.executable, "-m", "tests.unit.supervisor.stand_ins", "gateway"]
    with mock.patch.object(command, "prepare", nothing_to_prepare):
        return await command.run(Plan(Settings(_env_file=None), catalogue, "cpu", models, REPOSITORY, stand_in))


if __name__ == "__main__":
    if sys.argv[1] == "gateway":
        gateway()
    elif sys.argv[1] == "supervise":
        sys.exit(asyncio.run(supervise()))
    else:
        triton(sys.argv[1:])
