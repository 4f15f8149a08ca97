"""`python -m gateway`: serve until SIGTERM or Ctrl-C, then let open requests finish."""

from __future__ import annotations

import sys

import uvicorn
from pydantic import ValidationError

from gateway.app import create_app
from gateway.settings import Settings
from gateway.telemetry import configure_logging
from tritone.catalogue import UnknownModelError


def main() -> None:
    """Read the settings, or exit with status 2 and a line that says which is wrong; then serve."""
    try:
        settings = Settings()
        app = create_app(settings)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        sys.exit(_refuse(f"{str(first['loc'][0]).upper()}: {first['msg']}"))
    except UnknownModelError as error:
        sys.exit(_refuse(str(error)))
    configure_logging(settings.log_level)
    uvicorn.run(
        app,
        host=settings.api_host,
        port=settings.api_port,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.drain_timeout,
    )


def _refuse(problem: str) -> int:
    print(f"gateway: wrong setting {problem}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
