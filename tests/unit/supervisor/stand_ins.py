"""A Triton, a gateway, a worker and a supervisor that are real processes and serve nothing.

Each appends its actions to the file EVENTS. The Triton leaves the remains of a killed one: a shared memory region and,
unless ORPHAN=no, an orphan. For each model it has a stub, which answers the model's requests. DIES names the one that
cannot start, REFUSES a model that cannot be loaded. FAST=1 makes the supervisor look for stopped processes, and start
dead ones, without long pauses.
"""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tritone.descriptions import SpeechDescription, TranscriptionDescription
from tritone.served import ServedDocument

SPEECH = SpeechDescription(voices=(), languages=("en",), default_voice="", speed_range=(1.0, 1.0))
TRANSCRIPTION = TranscriptionDescription(languages=("en",), tasks=("transcribe",), options=())


def record(event: str) -> None:
    with Path(os.environ["EVENTS"]).open("a") as events:
        events.write(f"{event}\n")


def begin(name: str, document: Path | None = None) -> None:
    """Die if DIES names it; from here on, SIGTERM is recorded and ends the process."""

    def stop(*_: object) -> None:
        if document:
            record(f"document: {ServedDocument.from_json(document.read_bytes()).state}")
        record(f"{name}: SIGTERM")
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    if os.environ.get("DIES") == name:
        sys.exit(f"{name}: out of memory")


class Triton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Loads every model but the one that REFUSES names, for callers that send the secret."""

    def __init__(self, restriction: str, folder: Path, prefix: str) -> None:
        _, key, secret = restriction.replace("=", ":").split(":")
        self._secret = (f"triton-grpc-protocol-{key}", secret)
        self._folder = folder
        self._prefix = prefix
        self._stubs: dict[str, subprocess.Popen[bytes]] = {}
        self._loads = 0

    def ServerLive(self, request: Any, context: grpc.ServicerContext) -> Any:
        return service_pb2.ServerLiveResponse(live=True)

    def ServerReady(self, request: Any, context: grpc.ServicerContext) -> Any:
        return service_pb2.ServerReadyResponse(ready=True)

    def ModelReady(self, request: Any, context: grpc.ServicerContext) -> Any:
        return service_pb2.ModelReadyResponse(ready=True)

    def RepositoryModelLoad(self, request: Any, context: grpc.ServicerContext) -> Any:
        record(f"triton: load {request.model_name} {self._secret in context.invocation_metadata()}")
        if request.model_name == os.environ.get("REFUSES"):
            context.abort(grpc.StatusCode.INTERNAL, "weights are damaged")
        self._start_stub(request.model_name)
        return service_pb2.RepositoryModelLoadResponse()

    def RepositoryModelUnload(self, request: Any, context: grpc.ServicerContext) -> Any:
        record(f"triton: unload {request.model_name}")
        self._stubs[request.model_name].kill()
        return service_pb2.RepositoryModelUnloadResponse()

    def ModelStreamInfer(self, requests: Any, context: grpc.ServicerContext) -> Any:
        for request in requests:
            stub = self._stubs[request.model_name]
            assert stub.stdin
            assert stub.stdout
            stub.stdin.write(b"?\n")
            stub.stdin.flush()
            if not stub.stdout.readline():
                context.abort(grpc.StatusCode.INTERNAL, "Stub process is not healthy")
            if not request.inputs:
                yield service_pb2.ModelStreamInferResponse()
                continue
            speech = request.inputs[0].name == "text"
            description = SPEECH.to_json() if speech else TRANSCRIPTION.to_json()
            answer = service_pb2.ModelStreamInferResponse()
            answer.infer_response.outputs.add(name="description", datatype="BYTES", shape=[1])
            content = description.encode()
            answer.infer_response.raw_output_contents.append(struct.pack("<I", len(content)) + content)
            yield answer

    def _start_stub(self, model: str) -> None:
        """Start a process with the command line of a stub: the script, and the name of a shared memory region."""
        script = self._folder / "stubs" / model / "1" / "model.py"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text("import sys\nfor line in sys.stdin: print(line, flush=True)")
        self._loads += 1
        region = Path("/dev/shm", f"{self._prefix}{model}_{self._loads}")
        region.touch()
        # Like Triton, it does not collect the exit status of a dead one: `Popen` does so only for another's start.
        self._stubs[model] = subprocess.Popen(
            [sys.executable, script, region.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )


def triton(arguments: list[str]) -> None:
    options = dict(argument.lstrip("-").split("=", 1) for argument in arguments if "=" in argument)
    prefix = options["backend-config"].rpartition("=")[2]
    Path("/dev/shm", f"{prefix}region").touch()
    orphan = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    if os.environ.get("ORPHAN") != "no":
        subprocess.Popen([sys.executable, "-c", orphan])
    folder = Path(options["model-repository"]).parent
    begin("triton", folder / "served.json")
    server = grpc.server(ThreadPoolExecutor(16))
    service = Triton(options["grpc-restricted-protocol"], folder, prefix)
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(service, server)
    server.add_insecure_port(f"127.0.0.1:{options['grpc-port']}")
    server.start()
    server.wait_for_termination()


def gateway() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/ready":
                record(f"gateway: GET {self.path}")
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    begin("gateway")
    if "--hold" in sys.argv:
        sys.stdin.read()
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["API_PORT"])), Handler).serve_forever()


def worker(name: str) -> None:
    begin(name)
    record(f"{name}: start")
    signal.pause()


async def supervise() -> int:
    from supervisor import command, restarts, silence
    from supervisor.plan import REPOSITORY, Plan
    from supervisor.settings import Settings
    from tritone.catalogue import Catalogue

    async def nothing_to_prepare(plan: Plan) -> Plan:
        return plan

    catalogue = Catalogue.load()
    models = catalogue.choose([], [])
    stand_in = [sys.executable, "-m", "tests.unit.supervisor.stand_ins"]
    parts = [*stand_in, "gateway"], [*stand_in, "worker"], [*stand_in, "queue worker"]
    given: dict[str, Any] = {"_env_file": None}
    with ExitStack() as patches:
        patches.enter_context(mock.patch.object(command, "prepare", nothing_to_prepare))
        if os.environ.get("FAST"):
            patches.enter_context(mock.patch.object(restarts, "PAUSES", (0.01,)))
            patches.enter_context(mock.patch.object(silence, "LOOK_SECONDS", 0.3))
            patches.enter_context(mock.patch.object(silence, "_SILENT_LOOKS", 1000))
        return await command.run(Plan(Settings(**given), catalogue, "cpu", models, REPOSITORY, *parts))


if __name__ == "__main__":
    if sys.argv[1] == "gateway":
        gateway()
    elif sys.argv[1] in ("worker", "queue worker"):
        worker(sys.argv[1])
    elif sys.argv[1] == "supervise":
        sys.exit(asyncio.run(supervise()))
    else:
        triton(sys.argv[1:])
