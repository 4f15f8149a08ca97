"""The container engine of this machine: Docker with Compose, else Podman with podman-compose."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.containers.console import Failure, info, run

ROOT = Path(__file__).resolve().parents[2]

_PROJECT = "tritone"
"""The name in compose.yaml, with which its containers' names begin."""

_PODMAN = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""
"""For a machine without systemd, with control groups of version 1."""


@dataclass(frozen=True)
class Engine:
    """A container engine, and the commands of it that the rehearsal uses."""

    name: str
    compose_command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: str | Path, log: Path | None = None) -> str:
        """Run one of the engine's commands, and return its output. Raises `Failure`."""
        return run([self.name, *arguments], environment=self.environment, log=log)

    def compose(self, files: Sequence[Path], *arguments: str, log: Path | None = None) -> str:
        """Run a command of the composition of these files. Raises `Failure`."""
        options = [word for file in files for word in ("-f", str(file))]
        return run([*self.compose_command, *options, *arguments], environment=self.environment, folder=ROOT, log=log)

    def build(self, dockerfile: str, tag: str, mounts: Sequence[Path], log: Path) -> None:
        """Build an image from the clone, with these folders visible to the build where Podman builds it."""
        info(f"building {tag} from {dockerfile}")
        if self.name == "docker":
            self.run("build", "-f", ROOT / dockerfile, "-t", tag, ROOT, log=log)
            return
        volumes = [word for folder in mounts for word in ("-v", f"{folder}:{folder}:ro")]
        options = ["--layers", "--isolation", "oci", "--network", "host", "--format", "docker", *volumes]
        command = [
            "buildah",
            "--runtime",
            "runc",
            "bud",
            "--runtime",
            "runc",
            *options,
            "-f",
            dockerfile,
            "-t",
            tag,
            ".",
        ]
        run(command, environment=self.environment, folder=ROOT, log=log)

    def inspect(self, what: str) -> dict[str, Any]:
        """Return what the engine knows of a container or an image. Raises `Failure`."""
        (found,) = json.loads(self.run("inspect", what))
        return dict(found)

    def inspect_volume(self, name: str) -> dict[str, Any]:
        """Return what the engine knows of a volume. Raises `Failure`."""
        (found,) = json.loads(self.run("volume", "inspect", name))
        return dict(found)

    def containers(self, service: str) -> list[str]:
        """Return the names of the composition's containers of a service, stopped ones too, in order."""
        names = self.run("ps", "--all", "--format", "{{.Names}}").split()
        return sorted(name for name in names if name.replace("-", "_").startswith(f"{_PROJECT}_{service}_"))

    def inside(self, container: str, *command: str) -> str:
        """Run a command in a container, and return its output. Raises `Failure`."""
        return self.run("exec", container, *command).strip()


def find_engine(work: Path, wanted: str = "") -> Engine:
    """Return Docker if its daemon answers, else Podman, or `wanted` itself. Raises `Failure`."""
    environment = dict(os.environ)
    if wanted in ("", "docker") and shutil.which("docker") and _answers(["docker", "info"]):
        return Engine("docker", ("docker", "compose"), environment)
    composer = os.environ.get("PODMAN_COMPOSE") or shutil.which("podman-compose")
    if wanted in ("", "podman") and shutil.which("podman") and shutil.which("buildah") and composer:
        if not Path("/run/systemd/system").exists():
            settings = work / "containers.conf"
            settings.write_text(_PODMAN)
            environment["CONTAINERS_CONF"] = str(settings)
        environment["PATH"] = f"{Path(composer).parent}{os.pathsep}{environment['PATH']}"
        return Engine("podman", (composer, "--in-pod=false"), environment)
    raise Failure("no container engine: start Docker, or install podman, buildah and podman-compose")


def _answers(command: Sequence[str]) -> bool:
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0
