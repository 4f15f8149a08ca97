"""Stand-ins of the base images, for a machine that reaches no container registry but Debian's packages.

Each has the name of the image that it stands for: Debian's minimal system with its Python, and for Triton also the
server that the embedded environment carries. They show that the Dockerfiles and the composition work, not that Triton's
own image does.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tools.containers.console import Failure, info, run
from tools.containers.engine import ROOT, Engine

_PYTHON = "3.11"
_SUITE = "bookworm"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def package_folders() -> list[Path]:
    """Return the folders that this machine's pip reads packages from, which the builds must see too."""
    found = re.findall(r"(?:file://)?(/[^ '\"\n]+)", "\n".join(_pip_settings().values()))
    folders = (Path(folder.removesuffix("/simple")) for folder in found)
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def make_stand_ins(engine: Engine, work: Path) -> None:
    """Make both base images, in a few minutes, from Debian's packages. It needs root and debootstrap."""
    if sys.version_info[:2] != tuple(map(int, _PYTHON.split("."))):
        raise Failure(f"the stand-ins need an embedded Triton for Python {_PYTHON}: run this with python{_PYTHON}")
    base = _minimal_system(work)
    _import(engine, base, "Dockerfile.gateway")
    _import(engine, _with_triton(base, work), "Dockerfile.triton")


def _minimal_system(work: Path) -> Path:
    base, unfinished = work / "base", work / "base.part"
    if base.exists():
        return base
    info(f"making a minimal Debian {_SUITE}")
    shutil.rmtree(unfinished, ignore_errors=True)
    sources = Path("/etc/apt/sources.list.d/debian.sources")
    mirror = re.search(r"^URIs: (\S+)", sources.read_text(), re.MULTILINE) if sources.exists() else None
    packages = "--include=ca-certificates,python3,python3-pip,python3-venv"
    options = ["--variant=minbase", packages, _SUITE, str(unfinished), *([mirror[1]] if mirror else [])]
    run(["debootstrap", *options], log=work / "debootstrap.log")
    for managed in unfinished.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        managed.unlink()
    (unfinished / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    shutil.copy(_CERTIFICATES, unfinished / "etc/ssl/certs/")
    if mirror:
        (unfinished / "etc/apt/sources.list").unlink(missing_ok=True)
        shutil.copy(sources, unfinished / "etc/apt/sources.list.d/")
    for file in Path("/etc/apt/apt.conf.d").glob("99*"):
        shutil.copy(file, unfinished / "etc/apt/apt.conf.d/")
    lines = [f"{name} = {value}" for name, value in _pip_settings().items()]
    settings = ["[global]", f"cert = {_CERTIFICATES}", "timeout = 180", *lines]
    (unfinished / "etc/pip.conf").write_text("\n".join(settings) + "\n")
    unfinished.rename(base)
    return base


def _with_triton(base: Path, work: Path) -> Path:
    triton, unfinished = work / "triton", work / "triton.part"
    if triton.exists():
        return triton
    info("adding the embedded Triton to it")
    run([sys.executable, "-m", "supervisor.environments", "--build", "triton"], folder=ROOT)
    packages = (ROOT / "envs/triton").resolve() / f"lib/python{_PYTHON}/site-packages"
    shutil.rmtree(unfinished, ignore_errors=True)
    run(["cp", "-a", base, unfinished])
    server = unfinished / "opt/carried/pytriton/tritonserver"
    server.parent.mkdir(parents=True)
    run(["cp", "-a", packages / "pytriton/tritonserver", server])
    run(["cp", "-a", packages / "nvidia_pytriton.libs", unfinished / "opt/carried/"])
    stub = server / "python_backend_stubs" / _PYTHON / "triton_python_backend_stub"
    shutil.copy(stub, server / "backends/python/")
    (unfinished / "opt/tritonserver").symlink_to("/opt/carried/pytriton/tritonserver")
    unfinished.rename(triton)
    return triton


def _import(engine: Engine, system: Path, dockerfile: str) -> None:
    name = base_image(dockerfile)
    full = name if "/" in name else f"docker.io/library/{name}"
    imported = system.with_name(f"{system.name}.image")
    with suppress(Failure):
        if imported.exists() and imported.read_text() == engine.inspect(full)["Id"]:
            return  # another import would be another image, and no layer on top of it could be reused
    info(f"importing the stand-in of {name}")
    command = [engine.name, "import", *(["-q"] if engine.name == "podman" else []), "-", full]
    with subprocess.Popen(["tar", "-C", system, "-c", "."], stdout=subprocess.PIPE) as archive:
        importing = subprocess.Popen(command, stdin=archive.stdout, env=engine.environment, stdout=subprocess.DEVNULL)
        assert archive.stdout is not None
        archive.stdout.close()  # so that tar ends if the import does
        status = importing.wait()
    if archive.returncode or status:
        raise Failure(f"{name} could not be imported")
    imported.write_text(engine.inspect(full)["Id"])


def base_image(dockerfile: str) -> str:
    """Return the name of the image that a Dockerfile, or its first stage, starts from."""
    words = [line.split() for line in (ROOT / dockerfile).read_text().splitlines() if line]
    base = next(rest[0] for name, *rest in words if name == "FROM")
    arguments = dict(rest[0].split("=", 1) for name, *rest in words if name == "ARG")
    return re.sub(r"\$\{(\w+)\}", lambda argument: arguments[argument[1]], base)


def _pip_settings() -> dict[str, str]:
    """Return where this machine's pip finds packages: the settings of its files and of the environment."""
    listing = run([sys.executable, "-m", "pip", "config", "list"])
    found: dict[str, str] = {}
    for name in ("find-links", "extra-index-url"):
        match = re.search(rf"^(?:global|user|:env:)\.{name}='(.*)'$", listing, re.MULTILINE)
        value = os.environ.get(f"PIP_{name.upper().replace('-', '_')}") or (match[1] if match else "")
        if value:
            found[name] = value.replace("\\n", " ").strip()
    return found
