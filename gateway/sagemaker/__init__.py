"""SageMaker's container contract: `GET /ping` and `POST /invocations`."""

from __future__ import annotations

from typing import Final

from gateway.sagemaker.router import INVOCATIONS, PING, router
from gateway.surfaces import Surface

SURFACE: Final = Surface(router, open_paths=frozenset({PING}), upload_paths=frozenset({INVOCATIONS}))
