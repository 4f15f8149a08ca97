"""Hostile requests to a gateway in front of a fake Triton: those of the OpenAPI document, and damaged recordings."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.faults.media import FORMATS, damaged, recording
from tests.fake_triton import Call, FakeTriton, Handler, Tensors
from tests.schema_cases import send_cases
from tests.unit.gateway.conftest import FakeSpeech
from tests.unit.gateway.process import ROOT, running
from tritone.transcript import Transcript

_AT_ONCE = 4
MODELS = str(Path(os.environ.get("MODEL_DIR") or ROOT / "models").resolve())


async def schema_cases(requests: int) -> dict[str, Any]:
    """Send about so many requests made from the document; return the statuses and the problems."""
    async with _gateway() as url:
        async with httpx.AsyncClient() as http:
            document = (await http.get(f"{url}/openapi.json")).json()
        operations = sum(len(path) for path in document["paths"].values())
        found = await asyncio.to_thread(send_cases, url, document, -(-requests // (2 * operations)))
    return {
        "requests": found.requests,
        "statuses": dict(sorted(found.statuses.items())),
        "problems": found.problems[:50],
    }


async def damaged_media(uploads: int, seed: int) -> dict[str, Any]:
    """Send so many damaged recordings; return the statuses, and those that were neither read nor rejected."""
    chance = random.Random(seed)
    clean = [recording(container) for container in FORMATS]
    statuses: Counter[int] = Counter()
    problems: list[str] = []
    async with _gateway() as url, httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as http:

        async def upload(number: int) -> None:
            data = damaged(clean[number % len(clean)], chance)
            try:
                form = {"model": "whisper-base"}
                answer = await http.post("/v1/audio/transcriptions", data=form, files={"file": ("a.bin", data)})
            except httpx.HTTPError as error:
                problems.append(f"{FORMATS[number % len(FORMATS)]} {number}: {error!r}")
                return
            statuses[answer.status_code] += 1
            if answer.status_code not in (200, 400, 413):
                problems.append(f"{FORMATS[number % len(FORMATS)]} {number}: {answer.status_code} {answer.text[:200]}")

        for first in range(0, uploads, _AT_ONCE):
            await asyncio.gather(*map(upload, range(first, min(first + _AT_ONCE, uploads))))
    return {"uploads": uploads, "statuses": dict(sorted(statuses.items())), "problems": problems[:50]}


@asynccontextmanager
async def _gateway() -> AsyncIterator[str]:
    """Run a gateway, a process of its own, in front of fake models; yield its address.

    It logs little: nobody reads its pipe.
    """

    async def transcribe(call: Call) -> AsyncIterator[Tensors]:
        yield Transcript("en", 0.9, ()).to_columns()

    handlers: dict[str, Handler] = {"kokoro-82m": FakeSpeech(), "whisper-base": transcribe}
    with tempfile.TemporaryDirectory() as folder:
        async with (
            FakeTriton(handlers) as triton,
            running(triton.address, Path(folder), MODEL_DIR=MODELS, LOG_LEVEL="ERROR") as (_, url),
        ):
            yield url
