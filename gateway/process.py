"""The gateway's process: its settings, limits and sockets."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final, NoReturn

import uvicorn
from pydantic import ValidationError

from gateway.app import create_app
from gateway.openai.realtime.protocol import MESSAGE_BYTES
from gateway.settings import GatewaySettings
from gateway.surface_ports import bind
from gateway.telemetry import configure_logging
from gateway.tracing import configure_tracing
from gateway.transport import KEEP_ALIVE_SECONDS, ConnectionLimits, limited_protocol
from tritone.settings import UnusableSettingError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""The parameters' numbers in malloc.h."""
_MOST_FILES: Final = 65_536
_HOLD: Final = "--hold"


def serve() -> None:
    """Serve. Exit status 0 after a signal to stop; a wrong setting is reported in one line, with exit status 2."""
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn drains, and then sends the signal again
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        settings = GatewaySettings()
        _check_upload_dir(settings.upload_dir)
        app = create_app(settings, servers_up=_input_ended if _HOLD in sys.argv[1:] else None)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        _reject(f"{str(first['loc'][0]).upper()}: {first['msg']}")
    except UnusableSettingError as error:
        _reject(str(error))
    configure_logging(settings.log_level)
    if settings.otel_exporter_otlp_endpoint:
        configure_tracing(settings.otel_exporter_otlp_endpoint)
    _return_large_blocks()
    _allow_connections()
    if settings.upload_dir is not None:
        tempfile.tempdir = str(settings.upload_dir)
    limits = ConnectionLimits(header_seconds=settings.header_timeout, send_seconds=settings.send_timeout)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=limited_protocol(limits),
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        ws="websockets-sansio",
        ws_max_size=MESSAGE_BYTES,
        ws_per_message_deflate=False,  # a few bytes could become the largest message
        # Pings tell whether a live session's client is there; the timeout leaves time to a model that is behind.
        ws_ping_interval=20,
        ws_ping_timeout=60,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.drain_timeout,
    )
    try:
        sockets = bind(settings.api_host, (settings.api_port, *settings.surface_ports.values()))
    except UnusableSettingError as error:
        _reject(str(error))
    ports, tritons = ", ".join(str(each.getsockname()[1]) for each in sockets), ", ".join(settings.triton_grpc_url)
    logging.getLogger("gateway").info("starting on %s, port %s; Triton: %s", settings.api_host, ports, tritons)
    server = uvicorn.Server(config)
    # What was made so far stays. A collection that looked through it all would hold up the requests for 60 ms.
    gc.freeze()
    gc.enable()
    server.run(sockets)
    if not server.started:
        sys.exit(3)


async def _input_ended() -> None:
    """Wait for the end of standard input. SIGTERM, which would wait for the end of the start, ends the process."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    at_sigterm = signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    loop.add_reader(sys.stdin, ended.set)
    await ended.wait()
    loop.remove_reader(sys.stdin)
    signal.signal(signal.SIGTERM, at_sigterm)


def _allow_connections() -> None:
    """Raise the limit of open files, often 1,024, which idle connections alone could reach."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))


def _check_upload_dir(folder: Path | None) -> None:
    if folder is not None and not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise UnusableSettingError(f"UPLOAD_DIR: {folder} is not a folder that can be written to")


def _return_large_blocks() -> None:
    """Let the C library return blocks of a MiB and more to the system when they are freed.

    By default it keeps blocks of up to 32 MiB, and large bodies and events leave gigabytes behind. Smaller blocks go
    back once 4 MiB of them are free together, not 128 KiB, which a short clip takes, and takes again, several times.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):  # glibc has it
        mallopt(_M_MMAP_THRESHOLD, 2**20)
        mallopt(_M_TRIM_THRESHOLD, 4 * 2**20)


def _reject(problem: str) -> NoReturn:
    print(f"gateway: wrong setting {problem}", file=sys.stderr)
    sys.exit(2)
