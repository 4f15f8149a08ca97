"""Whether the gateway lives, whether its models serve, and its numbers."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Request, Response
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder
from pydantic import BaseModel

from gateway.errors import Unavailable

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Every chosen model serves."""

    status: Literal["ready"] = "ready"
    models: list[str]


@router.get("/health")
async def health() -> Health:
    """200 as long as the gateway lives; says nothing of the models."""
    return Health()


@router.get("/ready")
async def ready(request: Request) -> Readiness:
    """200 once every chosen model serves; 503 naming those that do not."""
    state = request.app.state
    ids = [model.id for model in state.models]
    serving = await asyncio.gather(*(state.triton.ready(id_) for id_ in ids))
    missing = [id_ for id_, serves in zip(ids, serving, strict=True) if not serves]
    if missing:
        raise Unavailable(f"not serving yet: {', '.join(missing)}")
    return Readiness(models=ids)


@router.get("/metrics", response_class=Response)
async def metrics(accept: Annotated[str, Header(include_in_schema=False)] = "") -> Response:
    """The gateway's metrics for Prometheus; Triton has its own on its metrics port."""
    encode, content_type = choose_encoder(accept)
    return Response(encode(REGISTRY), media_type=content_type)
