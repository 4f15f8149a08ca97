"""`python -m gateway.queue_worker`: take jobs from queues of SQS until SIGTERM or Ctrl-C, then finish those in work."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import NoReturn

from prometheus_client import start_http_server
from pydantic import ValidationError

from gateway.core.queues.consumer import Consumer, ConsumerOptions
from gateway.core.services import open_services
from gateway.settings import GatewaySettings
from gateway.telemetry import configure_logging
from gateway.zonos.messages import JobMessages, queues


async def work(settings: GatewaySettings) -> None:
    """Take messages until a signal to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    options = ConsumerOptions(
        settings.sqs_at_once, settings.sqs_visibility, settings.sqs_max_receives, settings.drain_timeout
    )
    async with open_services(settings) as services:
        assert services.delivery
        consumers = [
            Consumer(services.delivery.sqs, kind, url, JobMessages(services, services.delivery, kind), options)
            for kind, url in queues(settings).items()
        ]
        await asyncio.gather(*(consumer.run(stop) for consumer in consumers))


def main() -> None:
    """Work. A wrong setting is reported in one line, with exit status 2."""
    try:
        settings = GatewaySettings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        _reject(f"{str(first['loc'][0]).upper()}: {first['msg']}")
    if not queues(settings):
        _reject("AWS_SQS_SYNTHESIZE_QUEUE_URL: no queue is set; set it, or that of another kind")
    if not settings.s3_bucket_name:
        _reject("S3_BUCKET_NAME: it is empty; the results of messages need a bucket")
    configure_logging(settings.log_level)
    if settings.sqs_metrics_port:
        start_http_server(settings.sqs_metrics_port, addr=settings.api_host)
    asyncio.run(work(settings))


def _reject(problem: str) -> NoReturn:
    print(f"queue worker: wrong setting {problem}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
