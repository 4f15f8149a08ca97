"""`python -m gateway`: serve until SIGTERM or Ctrl-C, then let open requests finish."""

from __future__ import annotations

import sys

import uvicorn
from pydantic import ValidationError

from gateway.app import create_app
from gateway.realtime.protocol import MESSAGE_BYTES
from gateway.settings import Settings
from gateway.telemetry import configure_logging
from tritone.catalogue import UnknownModelError
from tritone.vad import MissingWeightsError


def main() -> None:
    """Serve. Exits with a line that says why: 2 for a wrong setting, 1 for weights that are missing."""
    try:
        settings = Settings()
        app = create_app(settings)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        sys.exit(_refuse(f"wrong setting {str(first['loc'][0]).upper()}: {first['msg']}", 2))
    except UnknownModelError as error:
        sys.exit(_refuse(f"wrong setting {error}", 2))
    except MissingWeightsError as error:
        sys.exit(_refuse(str(error), 1))
    configure_logging(settings.log_level)
    uvicorn.run(
        app,
        host=settings.api_host,
        port=settings.api_port,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=MESSAGE_BYTES,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.drain_timeout,
    )


def _refuse(problem: str, status: int) -> int:
    print(f"gateway: {problem}", file=sys.stderr)
    return status


if __name__ == "__main__":
    main()
