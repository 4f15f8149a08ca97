"""`python -m gateway.jobs`: a worker, which runs jobs until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import NoReturn

from prometheus_client import start_http_server
from pydantic import ValidationError

from gateway.core.jobs.worker import run_worker
from gateway.core.services import open_services
from gateway.core.speech_detectors import SpeechDetectors
from gateway.settings import GatewaySettings
from gateway.telemetry import configure_logging
from tritone.settings import UnusableSettingError


async def work(settings: GatewaySettings, detectors: SpeechDetectors | None = None) -> None:
    """Run jobs until a signal to stop, and end the process."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_services(settings.model_copy(update={"jobs": True}), detectors=detectors) as services:
        await run_worker(services, stop)
    logging.shutdown()
    # Unfinished jobs stay as they are: a regular end would cancel them, and record that as their result.
    os._exit(0)


def main() -> None:
    """Work. A wrong setting is reported in one line, with exit status 2."""
    try:
        settings = GatewaySettings()
        configure_logging(settings.log_level)
        if settings.jobs_metrics_port:
            start_http_server(settings.jobs_metrics_port, addr=settings.api_host)
        asyncio.run(work(settings))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        _reject(f"{str(first['loc'][0]).upper()}: {first['msg']}")
    except UnusableSettingError as error:
        _reject(str(error))


def _reject(problem: str) -> NoReturn:
    print(f"jobs: wrong setting {problem}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
