"""Triton: the home of the embedded server, and its command line."""

from __future__ import annotations

import re
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from supervisor.control import KEY
from supervisor.environments import Environment
from supervisor.interpreter import LIBPYTHON
from supervisor.plan import Plan
from supervisor.settings import Settings
from tritone.contract import PING_SECONDS

_RESTRICTED = "model-repository,shared-memory,logging,trace"
_COLLECTOR = "OTEL_EXPORTER_OTLP_ENDPOINT"
_SELDOM = 2**31 - 1
"""One in so many requests without a `traceparent` is traced, such as the gateway's own."""
_ALARM = re.compile(r"[EW]\d{4} ")
_HARMLESS = re.compile(r"CudaDriverHelper has not been initialized|Failed to create instance|failed to load")
"""Lines that are harmless, or repeat an error that the control API returns."""


@dataclass(frozen=True)
class Home:
    """The paths of a server's parts."""

    server: Path
    backends: Path
    libraries: Path
    """A folder that only holds libpython, so that stubs find it even if the linker's cache does not have it."""

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return the environment variables of the server."""
        search = [str(self.libraries), *filter(None, [base.get("LD_LIBRARY_PATH")])]
        return {**base, "LD_LIBRARY_PATH": ":".join(search)}


def lay_out(folder: Path, libpython: Path, installed: Path | None) -> Home:
    """Create a home in `folder` of links to the parts of the embedded server, or use the installed server."""
    libraries = folder / "lib"
    libraries.mkdir()
    (libraries / LIBPYTHON).symlink_to(libpython)
    if installed:
        return Home(installed / "bin" / "tritonserver", installed / "backends", libraries)
    site_packages = "python{}.{}/site-packages".format(*sys.version_info)
    embedded = Environment("triton").folder / "lib" / site_packages / "pytriton" / "tritonserver"
    stub = embedded / "python_backend_stubs" / "{}.{}".format(*sys.version_info) / "triton_python_backend_stub"
    backend = folder / "backends" / "python"
    backend.mkdir(parents=True)
    for part in (embedded / "backends" / "python").iterdir():
        (backend / part.name).symlink_to(part)
    (backend / stub.name).symlink_to(stub)
    return Home(embedded / "bin" / "tritonserver", folder / "backends", libraries)


def command(plan: Plan, home: Home, repository: Path, secret: str, shared_memory_prefix: str) -> list[str]:
    """Return the server's command line: it loads no model, and requires the secret for the control of models.

    Triton has no other way to receive the secret; `command_secret.hide` removes it once Triton has read it.
    """
    settings = plan.settings
    gpu = plan.device == "cuda"
    return [
        str(home.server),
        f"--model-repository={repository}",
        f"--backend-directory={home.backends}",
        *_http(settings, secret),
        f"--grpc-address={settings.triton_host}",
        f"--grpc-port={settings.triton_grpc_port}",
        # By default, the server closes a connection after three of the gateway's pings without data.
        f"--grpc-http2-min-recv-ping-interval-without-data={PING_SECONDS * 1000 // 2}",
        f"--metrics-address={settings.triton_host}",
        f"--metrics-port={settings.triton_metrics_port}",
        f"--grpc-restricted-protocol={_RESTRICTED}:{KEY}={secret}",
        "--model-control-mode=explicit",
        "--disable-auto-complete-config",
        "--strict-readiness=false",
        # If a stub takes longer to start, 2.51 aborts or waits for ever; the default is 10 seconds.
        f"--backend-config=python,stub-timeout-seconds={settings.start_timeout}",
        f"--backend-config=python,shm-region-prefix-name={shared_memory_prefix}",
        # When this timeout ends, 2.51 aborts and hangs: the supervisor kills it before that.
        f"--exit-timeout-secs={settings.drain_timeout + 3600}",
        *_traces(plan.variables().get(_COLLECTOR, "")),
        *([] if gpu else ["--model-config-name=cpu", "--allow-gpu-metrics=false", "--pinned-memory-pool-byte-size=0"]),
    ]


def _http(settings: Settings, secret: str) -> list[str]:
    address = settings.triton_http_address
    if address is None:
        return ["--allow-http=false"]
    return [
        f"--http-address={address}",
        f"--http-port={settings.triton_http_port}",
        f"--http-restricted-api={_RESTRICTED}:{KEY}={secret}",
    ]


def _traces(collector: str) -> list[str]:
    """Send the spans of each request that comes with a `traceparent` to the collector at this address; empty: none."""
    if not collector:
        return []
    mode = "--trace-config=opentelemetry"
    return [
        "--trace-config=mode=opentelemetry",
        "--trace-config=level=TIMESTAMPS",
        f"--trace-config=rate={_SELDOM}",
        f"{mode},url={collector.rstrip('/')}/v1/traces",
        f"{mode},resource=service.name=tritone-triton",
    ]


def new_secret() -> str:
    """Return a new secret for the control of models; every run has its own."""
    return secrets.token_urlsafe(32)


def is_alarming(line: str) -> bool:
    """Return whether a line of Triton's log is an error or a warning for the operator."""
    return _ALARM.match(line) is not None and _HARMLESS.search(line) is None
