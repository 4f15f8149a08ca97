"""Dead and stopped processes are replaced on the real Triton; the models are the toy families, without weights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import serialize_byte_tensor

from tests.e2e.server import NO_NETWORK, PATIENCE, ROOT, TOYS, descendants
from tests.ports import free_ports
from tritone.served import MODEL, ServedDocument, ServedModel

ALONE = {
    "GATEWAY": "false",
    "DRAIN_TIMEOUT": "3600",  # a stop that waits for it fails
}
LONG = "Ships came and went. " * 150


@dataclass
class Supervised:
    """A running `scripts/serve` with the toy models."""

    process: subprocess.Popen[bytes]
    log: Path
    stub: Any

    @property
    def triton(self) -> psutil.Process:
        """The server's process."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return next(child for child in children if child.name() == "tritonserver")

    def stubs(self, model: str) -> list[psutil.Process]:
        """The living stubs of a model."""
        found = []
        for child in self.triton.children():
            with suppress(psutil.ZombieProcess):
                if f"/{model}/1/model.py" in " ".join(child.cmdline()):
                    found.append(child)
        return found

    @property
    def document(self) -> ServedDocument | None:
        """The document of the `tritone` model; None while it does not answer."""
        request = service_pb2.ModelInferRequest(model_name=MODEL)
        document = None
        try:
            # To its end: Triton keeps a model loaded for ever if a client leaves a stream just before that.
            for answer in self.stub.ModelStreamInfer(iter([request]), timeout=30):
                if contents := answer.infer_response.raw_output_contents:
                    document = ServedDocument.from_json(contents[0][4:])
        except grpc.RpcError:
            return None
        return document

    def model(self, id_: str) -> ServedModel | None:
        """A model in the document."""
        document = self.document
        return next((model for model in document.models if model.id == id_), None) if document else None

    def loads(self, id_: str) -> int:
        """The number of loads of a model that is ready; 0 while it is not."""
        model = self.model(id_)
        return model.loads if model and model.state == "ready" else 0

    def synthesize(self, text: str) -> Iterator[Any]:
        """Begin a stream of `sine`; the iterator also has `cancel`."""
        request = service_pb2.ModelInferRequest(model_name="sine")
        request.inputs.add(name="text", datatype="BYTES", shape=[1])
        request.raw_input_contents.append(serialize_byte_tensor(np.array([text.encode()], dtype=np.object_)).item())
        stream: Iterator[Any] = self.stub.ModelStreamInfer(iter([request]), timeout=PATIENCE)
        return stream

    def serves(self) -> bool:
        """Return whether `sine` synthesizes a text."""
        return not [answer for answer in self.synthesize("Hello.") if answer.error_message]

    def wait_until(self, holds: Callable[[], Any]) -> None:
        """Wait until something holds; fails if the server ends before."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def stop(self) -> int:
        """Stop it, and return its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(PATIENCE)


@contextmanager
def supervise(folder: Path) -> Iterator[Supervised]:
    names = ("API_PORT", "TRITON_HTTP_PORT", "TRITON_GRPC_PORT", "TRITON_METRICS_PORT")
    ports = dict(zip(names, map(str, free_ports(4)), strict=True))
    log = folder / "serve.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [ROOT / "scripts" / "serve"],
            env={**os.environ, **NO_NETWORK, **TOYS, **ALONE, **ports},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with grpc.insecure_channel(f"127.0.0.1:{ports['TRITON_GRPC_PORT']}", [("grpc.enable_http_proxy", 0)]) as channel:
        server = Supervised(process, log, service_pb2_grpc.GRPCInferenceServiceStub(channel))
        try:
            server.wait_until(lambda: "stop with Ctrl-C" in log.read_text())
            yield server
        finally:
            try:
                server.stop()
            except subprocess.TimeoutExpired:
                for child in descendants(process.pid):
                    child.kill()
                process.kill()
                process.wait()
                raise


@pytest.fixture(scope="module")
def supervised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    with supervise(tmp_path_factory.mktemp("supervised")) as server:
        yield server


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGSTOP, "stopped by a signal, killed")]
)
def test_a_model_whose_process_dies_or_stops_is_loaded_again(
    supervised: Supervised, number: signal.Signals, reason: str
) -> None:
    triton, loads = supervised.triton.pid, supervised.loads("sine")
    (stub,) = supervised.stubs("sine")
    region = Path("/dev/shm", stub.cmdline()[2])
    assert region.exists()
    stub.send_signal(number)
    supervised.wait_until(lambda: supervised.loads("sine") == loads + 1)
    assert f"the process of sine died ({reason})" in supervised.log.read_text()
    model = supervised.model("sine")
    assert model
    assert model.lost_loads == loads
    assert supervised.serves()
    assert supervised.triton.pid == triton
    supervised.wait_until(lambda: not region.exists())


def test_a_transcription_model_whose_process_dies_is_loaded_again_beside_another(supervised: Supervised) -> None:
    before = {id_: supervised.loads(id_) for id_ in ("sine", "counter")}
    for id_ in before:
        supervised.stubs(id_)[0].kill()
    supervised.wait_until(
        lambda: {id_: supervised.loads(id_) for id_ in before} == {id_: n + 1 for id_, n in before.items()}
    )


def test_the_model_of_the_document_is_loaded_again(supervised: Supervised) -> None:
    (stub,) = supervised.stubs(MODEL)
    stub.kill()
    supervised.wait_until(lambda: supervised.document is not None)
    assert supervised.stubs(MODEL) != [stub]


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGSTOP, "stopped by a signal, killed")]
)
def test_a_triton_that_dies_or_stops_is_started_again_with_its_models(
    supervised: Supervised, number: signal.Signals, reason: str
) -> None:
    old, loads = supervised.triton, supervised.loads("sine")
    stubs = [child.pid for child in old.children()]
    old.send_signal(number)
    supervised.wait_until(lambda: supervised.loads("sine") == loads + 1)
    assert f"triton died ({reason}), restarting in " in supervised.log.read_text()
    assert supervised.triton.pid != old.pid
    assert not [pid for pid in stubs if psutil.pid_exists(pid)]
    supervised.wait_until(lambda: (document := supervised.document) and document.state == "serving")
    assert supervised.serves()


def test_a_server_serves_and_stops_after_its_model_died_with_open_streams(tmp_path: Path) -> None:
    """Triton either waits for these streams for ever, or aborts at once; it is replaced then."""
    with supervise(tmp_path) as server:
        streams = [server.synthesize(LONG) for _ in range(4)]
        for stream in streams:
            next(stream)
        server.stubs("sine")[0].kill()
        server.wait_until(lambda: server.loads("sine") == 2)
        assert server.serves()
        folder = server.triton.cmdline()[1]
        assert server.stop() == 0, server.log.read_text()
    prefix = Path(folder.partition("=")[2]).parent.name
    assert not list(Path("/dev/shm").glob(f"{prefix}*"))
    assert json.loads((Path(folder.partition("=")[2]).parent / "served.json").read_text())["state"] == "stopping"
