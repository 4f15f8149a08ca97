"""What is checked of the running composition: speech, health, privileges, and how it comes back."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from tools.containers.client import check_speech, status, wait_ready, wait_until
from tools.containers.console import Failure, info
from tools.containers.engine import Engine


def check_hardening(engine: Engine, container: str) -> dict[str, Any]:
    """Check the user, the capabilities, the privileges and the root of a container from inside. Raises `Failure`."""
    user = engine.inside(container, "id", "-u")
    lines = engine.inside(container, "cat", "/proc/1/status").splitlines()
    process = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    found = {
        "user": int(user),
        "capabilities": int(process["CapEff"], 16),
        "no_new_privileges": process["NoNewPrivs"] == "1",
        "read_only_root": _is_read_only(engine, container),
    }
    right = {"user": 1000, "capabilities": 0, "no_new_privileges": True, "read_only_root": True}
    if found != right:
        raise Failure(f"{container} has {found}, and should have {right}")
    return found


def _is_read_only(engine: Engine, container: str) -> bool:
    try:
        engine.inside(container, "touch", "/opt/tritone/probe")
    except Failure as failure:
        return "Read-only file system" in str(failure)
    return False


def check_health(engine: Engine, container: str) -> None:
    """Run the container's own health check. Raises `Failure`."""
    if engine.name == "podman":
        engine.run("healthcheck", "run", container)
        return
    wait_until(lambda: _healthy(engine, container), f"{container} is healthy", 120)


def check_addresses(engine: Engine, container: str) -> list[str]:
    """Return the published addresses of a container, all of which must be on loopback. Raises `Failure`."""
    ports = engine.inspect(container)["NetworkSettings"]["Ports"] or {}
    published = [f"{each['HostIp']}:{each['HostPort']}" for bound in ports.values() for each in bound or []]
    if open_ := [address for address in published if not address.startswith("127.")]:
        raise Failure(f"{container} is published on {', '.join(open_)}")
    return sorted(published)


def restart(engine: Engine, container: str, url: str, *, kill: bool) -> dict[str, float]:
    """Stop or kill a container, start it again, and return the seconds until it is healthy and until it serves.

    `served_after_healthy` is what the gateway adds to the start of Triton. Raises `Failure`.
    """
    how = "killed" if kill else "stopped"
    if kill:
        engine.run("kill", "--signal", "KILL", container)
    else:
        engine.run("stop", "-t", "60", container)
    wait_until(lambda: status(url, "/ready") != 200, f"the gateway says that {container} is gone", 60)
    if not engine.inspect(container)["State"]["Running"]:  # the engine may have started it already
        engine.run("start", container)
    healthy = wait_until(lambda: _healthy(engine, container), f"{container}, {how}, is healthy", 600)
    ready = wait_ready(url, 120)
    heard = check_speech(url)
    info(f"{container}, {how}: healthy after {healthy} s, the gateway ready {ready} s later, heard {heard!r}")
    return {"healthy": healthy, "served_after_healthy": ready}


def _healthy(engine: Engine, container: str) -> bool:
    with suppress(Failure):
        if engine.name == "podman":
            engine.run("healthcheck", "run", container)
            return True
        return bool(engine.inspect(container)["State"]["Health"]["Status"] == "healthy")
    return False
