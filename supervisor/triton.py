"""Triton itself: the home of the embedded server, its command line, and its control API."""

from __future__ import annotations

import re
import secrets
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx2

from supervisor.environments import Environment
from supervisor.plan import Plan
from supervisor.settings import Settings, reachable

CONTROL_HEADER = "tritone-control"
LIBPYTHON = "libpython{}.{}.so.1.0".format(*sys.version_info)
"""The library that the Python backend's stub is linked to."""

_RESTRICTED = "model-repository,shared-memory,logging,trace"
_ALARM = re.compile(r"[EW]\d{4} ")
_NO_NEWS = re.compile(r"CudaDriverHelper has not been initialized|Failed to create instance|failed to load")
"""What is harmless, or is told by the answer of the control API."""


class LoadError(Exception):
    """Triton could not load or unload a model; the message is its own."""


@dataclass(frozen=True)
class Home:
    """Where a server's parts lie."""

    server: Path
    backends: Path
    libraries: Path
    """A folder with libpython alone, for the stubs to find it whatever the linker's cache knows."""

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """The variables that the server runs with."""
        search = [str(self.libraries), *filter(None, [base.get("LD_LIBRARY_PATH")])]
        return {**base, "LD_LIBRARY_PATH": ":".join(search)}


def find_libpython() -> Path | None:
    """The shared library of our interpreter, which is that of every environment; None where it has none."""
    folders = [sysconfig.get_config_var("LIBDIR"), Path(sys.base_prefix) / "lib"]
    candidates = [Path(folder) / LIBPYTHON for folder in folders if folder]
    return next((path for path in candidates if path.exists()), None)


def lay_out(folder: Path, libpython: Path, installed: Path | None) -> Home:
    """Make a home in `folder` out of links to the parts of the embedded server, or use the installed one."""
    libraries = folder / "lib"
    libraries.mkdir()
    (libraries / LIBPYTHON).symlink_to(libpython)
    if installed:
        return Home(installed / "bin" / "tritonserver", installed / "backends", libraries)
    site_packages = "python{}.{}/site-packages".format(*sys.version_info)
    carried = Environment("triton").folder / "lib" / site_packages / "pytriton" / "tritonserver"
    stub = carried / "python_backend_stubs" / "{}.{}".format(*sys.version_info) / "triton_python_backend_stub"
    backend = folder / "backends" / "python"
    backend.mkdir(parents=True)
    for part in (carried / "backends" / "python").iterdir():
        (backend / part.name).symlink_to(part)
    (backend / stub.name).symlink_to(stub)
    return Home(carried / "bin" / "tritonserver", folder / "backends", libraries)


def command(plan: Plan, home: Home, repository: Path, secret: str, shared_memory_prefix: str) -> list[str]:
    """The server's command line: no model is loaded, and the control of models needs the secret.

    Triton has no other way to be told the secret; who may read our processes' command lines can read it.
    """
    settings = plan.settings
    gpu = plan.device == "cuda"
    return [
        str(home.server),
        f"--model-repository={repository}",
        f"--backend-directory={home.backends}",
        f"--http-address={settings.triton_host}",
        f"--http-port={settings.triton_http_port}",
        f"--grpc-address={settings.triton_host}",
        f"--grpc-port={settings.triton_grpc_port}",
        # Gateways ask every 20 s whether we live. By default, three times in a silence cost them the connection.
        "--grpc-http2-min-recv-ping-interval-without-data=10000",
        f"--metrics-address={settings.triton_host}",
        f"--metrics-port={settings.triton_metrics_port}",
        f"--http-restricted-api={_RESTRICTED}:{CONTROL_HEADER}={secret}",
        f"--grpc-restricted-protocol={_RESTRICTED}:{CONTROL_HEADER}={secret}",
        "--model-control-mode=explicit",
        "--disable-auto-complete-config",
        "--strict-readiness=false",
        f"--backend-config=python,shm-region-prefix-name={shared_memory_prefix}",
        # Where its own timeout runs out, 2.51 aborts and hangs: the supervisor has the shorter patience.
        f"--exit-timeout-secs={settings.drain_timeout + 3600}",
        *([] if gpu else ["--model-config-name=cpu", "--allow-gpu-metrics=false", "--pinned-memory-pool-byte-size=0"]),
    ]


def new_secret() -> str:
    """What the control API is to ask for; no two runs have the same."""
    return secrets.token_urlsafe(32)


def alarming(line: str) -> bool:
    """Whether a line of Triton's log is an error or a warning that a person should see."""
    return _ALARM.match(line) is not None and _NO_NEWS.search(line) is None


def control_client(settings: Settings, secret: str) -> httpx2.AsyncClient:
    """A client of the server's HTTP API that may control models; closed before the server is asked to exit."""
    return httpx2.AsyncClient(
        base_url=f"http://{reachable(settings.triton_host)}:{settings.triton_http_port}",
        headers={CONTROL_HEADER: secret},
        timeout=None,  # the start has one deadline for everything
        trust_env=False,
    )


async def load(client: httpx2.AsyncClient, model: str) -> None:
    """Have the server load a model, and wait until it is loaded. Raises `LoadError`."""
    await _control(client, model, "load")


async def unload(client: httpx2.AsyncClient, model: str) -> None:
    """Have the server take no more requests for a model, and unload it when those that it has are done.

    Raises `LoadError`.
    """
    await _control(client, model, "unload")


async def _control(client: httpx2.AsyncClient, model: str, action: Literal["load", "unload"]) -> None:
    answer = await client.post(f"/v2/repository/models/{model}/{action}")
    if answer.is_error:
        raise LoadError(answer.json()["error"].strip())
