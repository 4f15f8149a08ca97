"""`python -m gateway`: serve until SIGTERM or Ctrl-C, then let open requests finish."""

from __future__ import annotations

import sys
from typing import NoReturn

import uvicorn
from pydantic import ValidationError

from gateway.app import create_app
from gateway.openai.realtime.protocol import MESSAGE_BYTES
from gateway.settings import GatewaySettings
from gateway.telemetry import configure_logging
from tritone.settings import UnusableSettingError


def main() -> None:
    """Serve. A wrong setting is reported in one line, with exit status 2."""
    try:
        settings = GatewaySettings()
        app = create_app(settings)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        _reject(f"{str(first['loc'][0]).upper()}: {first['msg']}")
    except UnusableSettingError as error:
        _reject(str(error))
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


def _reject(problem: str) -> NoReturn:
    print(f"gateway: wrong setting {problem}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
