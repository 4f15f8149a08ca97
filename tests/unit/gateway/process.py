"""`python -m gateway` as a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.plain_http import NO_TLS
from tests.ports import free_ports

ROOT = Path(__file__).resolve().parents[3]


@asynccontextmanager
async def running(triton: str, folder: Path, **settings: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run a gateway in front of the Triton at that address; yield it with its URL once it is ready."""
    async with started(triton, folder, **settings) as (process, url):
        await until(True, process, url, "/ready")
        yield process, url


@asynccontextmanager
async def started(
    triton: str, folder: Path, *options: str, **settings: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run a gateway with these options; yield it with its URL at once."""
    (port,) = free_ports(1)
    variables = {"PYTHONPATH": str(ROOT), "API_PORT": str(port), "TRITON_GRPC_URL": triton, **settings}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway", *options),
        cwd=folder,
        env={**os.environ, **variables},
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(success: bool, process: asyncio.subprocess.Process, url: str, path: str = "/health") -> None:
    """Wait until the gateway answers `path` with success, or does not any more."""
    async with asyncio.timeout(300):
        while await _succeeds(url + path) is not success:
            assert process.returncode is None
            await asyncio.sleep(0.05)


def peak_mb(pid: int) -> float:
    """Return the most memory that a process has had so far, in MB; Linux keeps the mark."""
    match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match
    return int(match[1]) * 1024 / 1e6


async def _succeeds(url: str) -> bool:
    try:
        async with httpx.AsyncClient(verify=NO_TLS) as client:
            return (await client.get(url)).is_success
    except httpx.TransportError:
        return False
