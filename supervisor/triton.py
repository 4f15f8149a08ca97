"""Triton itself: the home of the embedded server, and its command line."""

from __future__ import annotations

import re
import secrets
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from supervisor.control import KEY
from supervisor.environments import Environment
from supervisor.plan import Plan
from supervisor.settings import Settings

LIBPYTHON = "libpython{}.{}.so.1.0".format(*sys.version_info)
"""The library that the Python backend's stub is linked to."""

_RESTRICTED = "model-repository,shared-memory,logging,trace"
_ALARM = re.compile(r"[EW]\d{4} ")
_NO_NEWS = re.compile(r"CudaDriverHelper has not been initialized|Failed to create instance|failed to load")
"""What is harmless, or is told by the answer of the control API."""


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
        *_http(settings, secret),
        f"--grpc-address={settings.triton_host}",
        f"--grpc-port={settings.triton_grpc_port}",
        # Gateways ask every 20 s whether we live. By default, three times in a silence cost them the connection.
        "--grpc-http2-min-recv-ping-interval-without-data=10000",
        f"--metrics-address={settings.triton_host}",
        f"--metrics-port={settings.triton_metrics_port}",
        f"--grpc-restricted-protocol={_RESTRICTED}:{KEY}={secret}",
        "--model-control-mode=explicit",
        "--disable-auto-complete-config",
        "--strict-readiness=false",
        # Where a model's process takes longer to come up, 2.51 aborts or waits for ever; by default after 10 seconds.
        f"--backend-config=python,stub-timeout-seconds={settings.start_timeout}",
        f"--backend-config=python,shm-region-prefix-name={shared_memory_prefix}",
        # Where its own timeout runs out, 2.51 aborts and hangs: the supervisor has the shorter patience.
        f"--exit-timeout-secs={settings.drain_timeout + 3600}",
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


def new_secret() -> str:
    """What the control API is to ask for; no two runs have the same."""
    return secrets.token_urlsafe(32)


def alarming(line: str) -> bool:
    """Whether a line of Triton's log is an error or a warning that a person should see."""
    return _ALARM.match(line) is not None and _NO_NEWS.search(line) is None
