"""Every package of the images has a wheel for the Python inside."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

from supervisor.environments import ROOT, Environment
from tests.unit.test_containers import environments

PYTHON = "3.12"
GLIBC_MINOR = 39
"""The glibc of Triton's image; the gateway's image has a newer one."""
PURE_SOURCES = {"jieba"}
"""Packages that are only published as sources, with nothing to compile."""


@pytest.mark.parametrize("name", ["gateway", *environments()])
def test_every_package_of_an_environment_has_a_wheel_for_the_container(
    name: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    pins = (ROOT / "requirements" / "constraints.txt").read_text()
    text = Environment(name).requirements.read_text().replace("-c ../constraints.txt", "-c constraints.txt")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    requirements = "\n".join(line for line in lines if line not in PURE_SOURCES)
    cache = pytestconfig.cache
    if cache and cache.get(f"containers/{name}", None) == [requirements, pins]:
        return  # resolved before, and nothing has changed since
    (tmp_path / "constraints.txt").write_text(pins)
    (tmp_path / "requirements.txt").write_text(requirements)
    command: list[str | Path] = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    command += ["--target", tmp_path / "nowhere", "-r", tmp_path / "requirements.txt"]
    command += ["--only-binary=:all:", "--python-version", PYTHON, "--platform=manylinux2014_x86_64"]
    command += [f"--platform=manylinux_2_{minor}_x86_64" for minor in range(5, GLIBC_MINOR + 1)]
    resolved = subprocess.run(command, capture_output=True, text=True, check=False)
    assert resolved.returncode == 0, resolved.stderr
    if cache:
        cache.set(f"containers/{name}", [requirements, pins])


@pytest.mark.parametrize("name", sorted(PURE_SOURCES))
def test_a_package_without_wheels_needs_no_compiler(name: str) -> None:
    files = distribution(name).files
    assert files
    assert not [file for file in files if file.suffix in (".so", ".pyd")]
