"""Triton's ports for a client without the secret: closed ports and rejected calls."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.e2e.server import Server, descendants

CHUNKS = 1_000_000
"""This many chunks of one byte overflow the stack of Triton 2.51, if its HTTP frontend reads them."""
RESTRICTED = {
    "RepositoryModelLoad": service_pb2.RepositoryModelLoadRequest(model_name="kokoro-82m"),
    "RepositoryModelUnload": service_pb2.RepositoryModelUnloadRequest(model_name="kokoro-82m"),
    "RepositoryIndex": service_pb2.RepositoryIndexRequest(),
    "SystemSharedMemoryRegister": service_pb2.SystemSharedMemoryRegisterRequest(name="a", key="/a", byte_size=1),
    "SystemSharedMemoryStatus": service_pb2.SystemSharedMemoryStatusRequest(),
    "CudaSharedMemoryRegister": service_pb2.CudaSharedMemoryRegisterRequest(name="a", byte_size=1),
    "LogSettings": service_pb2.LogSettingsRequest(),
    "TraceSetting": service_pb2.TraceSettingRequest(),
}
MODELS = ("kokoro-82m", "whisper-base", "tritone", "transcription-long")


def post_in_chunks(port: int, path: str) -> bytes:
    """POST `CHUNKS` chunks of one byte to a port of this machine, and return the beginning of the response."""
    with socket.create_connection(("127.0.0.1", port), timeout=300) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: triton\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(100):
            connection.sendall(b"1\r\n \r\n" * (CHUNKS // 100))
        connection.sendall(b"0\r\n\r\n")
        return connection.recv(64)


@pytest.fixture
def triton(server: Server) -> Iterator[Any]:
    with grpc.insecure_channel(server.grpc, options=[("grpc.enable_http_proxy", 0)]) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def test_http_port_of_the_embedded_triton_is_closed(server: Server) -> None:
    with pytest.raises(ConnectionRefusedError):
        post_in_chunks(server.triton_http_port, "/v2/models/whisper-base/infer")


@pytest.mark.parametrize("model", MODELS)
def test_model_is_ready_without_the_http_port(triton: Any, model: str) -> None:
    assert triton.ModelReady(service_pb2.ModelReadyRequest(name=model)).ready


@pytest.mark.parametrize("path", ["/metrics", "/v2/models/whisper-base/infer"])
def test_million_chunks_at_the_metrics_port_do_no_harm(server: Server, path: str) -> None:
    assert post_in_chunks(server.triton_metrics_port, path).startswith(b"HTTP/1.1 405 ")
    assert server.metrics()
    assert httpx.get(f"{server.url}/ready", timeout=300).status_code == 200


@pytest.mark.parametrize("secret", [None, "wrong"])
@pytest.mark.parametrize("method", RESTRICTED)
def test_control_without_the_secret_is_rejected(triton: Any, method: str, secret: str | None) -> None:
    metadata = [("triton-grpc-protocol-tritone-control", secret)] if secret else []
    with pytest.raises(grpc.RpcError, match="This protocol is restricted"):
        getattr(triton, method)(RESTRICTED[method], metadata=metadata)
    assert triton.ModelReady(service_pb2.ModelReadyRequest(name="kokoro-82m")).ready


def test_other_users_of_the_machine_see_neither_the_secret_nor_shared_memory(server: Server) -> None:
    triton = next(each for each in descendants(server.process.pid) if each.name() == "tritonserver")
    line = "\n".join(triton.cmdline())
    secret = re.search(r"tritone-control=(.+)", line)
    prefix = re.search(r"shm-region-prefix-name=(.+)", line)
    assert secret
    assert prefix
    assert set(secret[1]) == {"*"}
    regions = list(Path("/dev/shm").glob(f"{prefix[1]}*"))
    assert regions
    assert {region.stat().st_mode & 0o077 for region in regions} == {0}
