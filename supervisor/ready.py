"""`python -m supervisor.ready`: whether the Triton in this container serves every chosen model. For health checks."""

from __future__ import annotations

import sys

import httpx2

from supervisor.console import complain
from supervisor.plan import Plan
from supervisor.settings import Settings, reachable

_PATIENCE = 5.0


def main() -> int:
    """Exit status 0 where all are ready, else 1 after saying which is not."""
    plan = Plan.make(Settings())
    address = f"http://{reachable(plan.settings.triton_host)}:{plan.settings.triton_http_port}"
    try:
        with httpx2.Client(base_url=address, timeout=_PATIENCE, trust_env=False) as client:
            served = [name for model in plan.models for name in model.served]
            waiting = [name for name in served if client.get(f"/v2/models/{name}/ready").is_error]
    except httpx2.TransportError as error:
        complain(f"{address} does not answer: {error}")
        return 1
    if not waiting:
        return 0
    complain(f"not ready: {', '.join(waiting)}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
