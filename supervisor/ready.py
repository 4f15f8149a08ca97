"""`python -m supervisor.ready`: whether the Triton in this container serves every chosen model. For health checks."""

from __future__ import annotations

import sys

import httpx2

from supervisor.console import complain
from supervisor.environments import cache_folder
from supervisor.run_folder import read_serving
from supervisor.settings import Settings, reachable

_PATIENCE = 5.0


def main() -> int:
    """Exit status 0 where all are ready, else 1 after saying which is not."""
    settings = Settings()
    address = f"http://{reachable(settings.triton_host)}:{settings.triton_http_port}"
    models = read_serving(cache_folder() / "runs", settings.triton_http_port)
    if not models:
        complain(f"nothing is served at {address} yet")
        return 1
    try:
        with httpx2.Client(base_url=address, timeout=_PATIENCE, trust_env=False) as client:
            waiting = [model for model in models if client.get(f"/v2/models/{model}/ready").is_error]
    except httpx2.TransportError as error:
        complain(f"{address} does not answer: {error}")
        return 1
    if not waiting:
        return 0
    complain(f"not ready: {', '.join(waiting)}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
