"""Liveness, readiness and metrics."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Header, Response
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder
from pydantic import BaseModel

from gateway.core.errors import ServiceError
from gateway.core.jobs.job import UNFINISHED, JobStatus
from gateway.core.jobs.open import JobBackend
from gateway.core.metrics import JOBS
from gateway.errors import Unavailable
from gateway.request_context import GatewayServices
from gateway.surfaces import Surface
from tritone.served import ModelState

_JOBS_SECONDS: Final = 2.0
"""The longest wait for the database of the jobs; Prometheus gives up after 10 s by default."""

router = APIRouter(tags=["health"])
logger = logging.getLogger(__name__)


class Gpu(BaseModel):
    """The memory of a GPU, in GB, with that of other programs on it."""

    used_gb: float
    total_gb: float


class Health(BaseModel):
    """The gateway is running."""

    status: Literal["ok"] = "ok"
    models: dict[str, ModelState]
    """Model -> its state on the server that is best off."""
    gpus: list[Gpu]
    """The GPUs of all servers."""


class Readiness(BaseModel):
    """Every chosen model is ready, or idle: then its next request loads it."""

    status: Literal["ready"] = "ready"
    models: list[str]


@router.get("/health")
async def health(services: GatewayServices) -> Health:
    """Return 200 while the gateway is running, whatever the state of the models."""
    served = services.triton.served
    return Health(
        models={model.id: model.state for model in served.models},
        gpus=[Gpu(used_gb=gpu.used, total_gb=gpu.total) for gpu in served.gpus],
    )


@router.get("/ready")
async def ready(services: GatewayServices) -> Readiness:
    """Return 200 when every chosen model is ready or idle on some server; else 503 with those that are not."""
    served = services.triton.served
    if not served.reached:
        raise Unavailable("not serving yet: no Triton server was reached")
    missing = [model.id for model in served.models if model.state not in ("ready", "idle")]
    if missing:
        raise Unavailable(f"not serving yet: {', '.join(missing)}")
    if served.of_kind("transcription") and services.detectors.missing:
        raise Unavailable(f"cannot transcribe: {services.detectors.missing}")
    return Readiness(models=[model.id for model in served.models])


@router.get("/metrics", response_class=Response)
async def metrics(services: GatewayServices, accept: Annotated[str, Header(include_in_schema=False)] = "") -> Response:
    """Return the gateway's metrics for Prometheus; Triton has its own on its metrics port."""
    if services.jobs:
        await _count_jobs(services.jobs)
    encode, content_type = choose_encoder(accept)
    return Response(encode(REGISTRY), media_type=content_type)


async def _count_jobs(jobs: JobBackend) -> None:
    """Set the number of jobs of each status, NaN where the database does not answer."""
    try:
        async with asyncio.timeout(_JOBS_SECONDS):
            store = await jobs.store()
            counts: Mapping[JobStatus, float] = await store.unfinished()
    except (ServiceError, TimeoutError) as error:
        logger.warning("jobs could not be counted: %r", error)
        counts = dict.fromkeys(UNFINISHED, math.nan)
    for status in UNFINISHED:
        JOBS.labels(status).set(counts.get(status, 0))


SURFACE: Final = Surface(router, open_paths=frozenset({"/health", "/ready", "/metrics"}))
