"""Checks before a start: each problem is a line with its remedy."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from supervisor import gpus
from supervisor.cache import cache_folder
from supervisor.http_frontend import exposure
from supervisor.interpreter import LIBPYTHON, find_libpython
from supervisor.plan import Plan
from supervisor.run_folder import SHARED_MEMORY
from supervisor.settings import Settings, inherited
from tritone.settings import SHARED, Setting, UnusableSettingError

GLIBC_NEEDED = (2, 35)
MACHINES = ("x86_64", "aarch64")
"""The machines that the embedded Triton's wheel exists for, and the C library that it needs there."""
SHARED_MEMORY_NEEDED = 32 << 20
"""Bytes that the stubs of a few models take before the first request."""

_LISTENING = "0A"
_VERSION = "{}.{}".format(*sys.version_info)


def findings(settings: Settings) -> Iterator[str]:
    """Yield every reason why a start would fail."""
    yield from _ports(settings)
    yield from _server(settings)
    if exposed := exposure(inherited(), settings.triton_version):
        yield exposed
    if any(map(str.isspace, str(cache_folder()))):
        yield f"Triton cannot start models from {cache_folder()}: set TRITONE_CACHE to a path without spaces"
    if settings.device != "cpu" and not gpus.hidden(inherited()) and (closed := gpus.closed()):
        yield closed
    if find_libpython() is None:
        yield (
            f"{LIBPYTHON} is missing, and Triton's Python backend needs it: install libpython{_VERSION} (Debian, "
            "Ubuntu), or put a Python that was built with --enable-shared first on PATH"
        )
    if (free := shutil.disk_usage(SHARED_MEMORY).free) < SHARED_MEMORY_NEEDED:
        yield (
            f"{SHARED_MEMORY} has {free >> 20} MB free and {SHARED_MEMORY_NEEDED >> 20} are needed: "
            "remove old files there, or start the container with --shm-size=1g"
        )


def unusable_settings(plan: Plan) -> Iterator[str]:
    """Yield every setting of the models that they could not load with."""
    variables = plan.variables()
    settings: list[Setting[Any]] = [*SHARED, *plan.catalogue.settings.values()]
    for setting in settings:
        try:
            setting.read(variables)
        except UnusableSettingError as error:
            yield str(error)
    if plan.device == "cpu":
        for setting in (setting for family in plan.families for setting in family.settings.values()):
            if (value := variables.get(setting.name, "").lower()) in setting.gpu_only:
                choices = [choice for choice in setting.choices if choice not in setting.gpu_only]
                yield f"{setting.name}={value} needs a GPU; on a CPU choose {' or '.join(choices)}"


def _server(settings: Settings) -> Iterator[str]:
    if home := settings.installed_triton:
        if not (home / "bin" / "tritonserver").exists():
            yield f"TRITONSERVER_HOME={home} has no bin/tritonserver: set it to an installed Triton, or unset it"
    elif sys.platform != "linux" or platform.machine() not in MACHINES:
        yield (
            f"the embedded Triton runs on Linux on {' or '.join(MACHINES)}, and this is {sys.platform} on "
            f"{platform.machine()}: use the container, or set TRITONSERVER_HOME to an installed Triton"
        )
    elif (glibc := _glibc()) < GLIBC_NEEDED:
        yield "the embedded Triton needs glibc {}.{} or newer, this machine has {}: use the container".format(
            *GLIBC_NEEDED, "{}.{}".format(*glibc) if glibc else "another C library"
        )


def _glibc() -> tuple[int, ...]:
    name, version = platform.libc_ver()
    return tuple(int(part) for part in version.split(".")[:2]) if name == "glibc" else ()


def _ports(settings: Settings) -> Iterator[str]:
    for name, port in settings.ports.items():
        host_name = "API_HOST" if name == "API_PORT" else "TRITON_HOST"
        host = _host(settings, name)
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen()
        except PermissionError:
            yield f"{name}={port} may only be opened by root: set it to 1024 or more"
        except socket.gaierror:
            yield f"{host_name}={host} is not an address of this machine"
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                yield f"{name}={port} is in use{_holder(port)}: stop that, or set {name} to a free port"
            else:
                yield f"{host_name}={host} cannot be listened on: {error.strerror}"


def _host(settings: Settings, port_name: str) -> str:
    """Return the address that a port of `Settings.ports` is opened on."""
    if port_name == "TRITON_HTTP_PORT" and settings.triton_http_address:
        return settings.triton_http_address
    return settings.api_host if port_name == "API_PORT" else settings.triton_host


def _holder(port: int) -> str:
    """Return ` by NAME (pid N)` for the process that listens on the port; empty if it cannot be found."""
    sockets = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if table.exists():
            for line in table.read_text().splitlines()[1:]:
                (
                    _,
                    local,
                    _,
                    state,
                    *_,
                ) = fields = line.split()
                if state == _LISTENING and int(local.rpartition(":")[2], 16) == port:
                    sockets.add(f"socket:[{fields[9]}]")
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(descriptor) in sockets:
                process = descriptor.parents[1]
                return f" by {(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue  # it has ended, or belongs to another user
    return ""
