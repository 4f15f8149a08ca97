"""A Triton, a gateway and a supervisor that are real processes and serve nothing.

Each appends its actions to the file EVENTS. The Triton leaves the remains of a killed one: a shared memory region and,
unless ORPHAN=no, a stub. DIES names the one that cannot start, REFUSES a model that cannot be loaded.
"""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
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

    def __init__(self, restriction: str) -> None:
        _, key, secret = restriction.replace("=", ":").split(":")
        self._secret = (f"triton-grpc-protocol-{key}", secret)

    def ServerReady(self, request: Any, context: grpc.ServicerContext) -> Any:
        return service_pb2.ServerReadyResponse(ready=True)

    def ModelReady(self, request: Any, context: grpc.ServicerContext) -> Any:
        return service_pb2.ModelReadyResponse(ready=True)

    def RepositoryModelLoad(self, request: Any, context: grpc.ServicerContext) -> Any:
        record(f"triton: load {request.model_name} {self._secret in context.invocation_metadata()}")
        if request.model_name == os.environ.get("REFUSES"):
            context.abort(grpc.StatusCode.INTERNAL, "weights are damaged")
        return service_pb2.RepositoryModelLoadResponse()

    def ModelStreamInfer(self, requests: Any, context: grpc.ServicerContext) -> Any:
        for request in requests:
            speech = request.inputs[0].name == "text"
            description = SPEECH.to_json() if speech else TRANSCRIPTION.to_json()
            answer = service_pb2.ModelStreamInferResponse()
            answer.infer_response.outputs.add(name="description", datatype="BYTES", shape=[1])
            content = description.encode()
            answer.infer_response.raw_output_contents.append(struct.pack("<I", len(content)) + content)
            yield answer


def triton(arguments: list[str]) -> None:
    options = dict(argument.lstrip("-").split("=", 1) for argument in arguments if "=" in argument)
    prefix = options["backend-config"].rpartition("=")[2]
    Path("/dev/shm", f"{prefix}region").touch()
    orphan = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    if os.environ.get("ORPHAN") != "no":
        subprocess.Popen([sys.executable, "-c", orphan])
    begin("triton", Path(options["model-repository"]).parent / "served.json")
    server = grpc.server(ThreadPoolExecutor(4))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Triton(options["grpc-restricted-protocol"]), server)
    server.add_insecure_port(f"127.0.0.1:{options['grpc-port']}")
    server.start()
    server.wait_for_termination()


def gateway() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            record(f"gateway: GET {self.path}")
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    begin("gateway")
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["API_PORT"])), Handler).serve_forever()


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
